//! Operator SQL whose result hangs on the time zone of the session, which is pinned to UTC.
//!
//! It is no guess at the operator's text: the server tells an expression as it has understood it, with
//! every cast written out, and of each column the type is known. What is asked is whether a column
//! itself is cast or taken apart; of a longer expression nothing is said.

use crate::schema::{Builtin, Column, PgType, Side};

/// A column that the server casts, or takes apart, in the time zone of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneDependency {
    /// The column's name.
    pub column: String,
    /// What is made of it.
    pub made: &'static str,
}

/// Casts of a moment that take the clock of a zone, and casts of a clock time that make a moment.
const OF_MOMENTS: [(&str, &str); 4] = [
    ("date", "the day"),
    ("time ", "the time of day"),
    ("timestamp without", "the clock time"),
    ("text", "the text"),
];
const OF_CLOCKS: [(&str, &str); 1] = [("timestamp with time zone", "the moment")];
/// Functions that take a moment apart, what follows it there, and what is made of it.
const PARTS: [(&str, char, &str); 4] = [
    ("EXTRACT(", ')', "a part"),
    ("date_part(", ')', "a part"),
    // A zone may follow.
    ("date_trunc(", ')', "the beginning"),
    ("to_char(", ',', "the text"),
];

/// Whether there is a column of which this can be said.
pub fn may_depend_on_zone(columns: &[Column]) -> bool {
    columns.iter().any(|column| casts(column).is_some())
}

fn casts(column: &Column) -> Option<&'static [(&'static str, &'static str)]> {
    match column.column_type.pg_type.base() {
        PgType::Builtin(Builtin::TimestampTz) => Some(&OF_MOMENTS),
        PgType::Builtin(Builtin::Timestamp | Builtin::Date) => Some(&OF_CLOCKS),
        _ => None,
    }
}

/// The first column of a side's rows that an expression casts in the session's zone; `told` is the
/// expression as the server tells it.
pub fn find_zone_dependency(told: &str, side: Side, columns: &[Column]) -> Option<ZoneDependency> {
    let columns = columns.iter().filter_map(|column| Some((column, casts(column)?)));
    for (column, casts) in columns {
        let name = &column.name.0;
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        for reference in [format!("{side}.{name}"), format!("{side}.{quoted}")] {
            let cast = |at: usize| {
                let rest = told.get(at + reference.len()..)?.strip_prefix(")::")?;
                casts.iter().find(|(word, _)| begins(rest, word)).map(|(_, made)| *made)
            };
            let part = |at: usize| {
                let (call, rest) = (told.get(..at)?, told.get(at + reference.len()..)?);
                let open = call.rfind('(').filter(|_| casts.len() > 1)?;
                let call = call.get(..=open)?;
                let is = |(name, next, _): &&(&str, char, &str)| {
                    call.ends_with(name) && rest.starts_with(*next)
                };
                PARTS.iter().find(is).map(|(.., made)| *made)
            };
            let places = told.match_indices(&reference).map(|(at, _)| at);
            let made = places.into_iter().find_map(|at| cast(at).or_else(|| part(at)));
            if let Some(made) = made {
                return Some(ZoneDependency { column: name.clone(), made });
            }
        }
    }
    None
}

/// Whether a text begins with these words, and the last is whole.
fn begins(text: &str, words: &str) -> bool {
    let rest = text.strip_prefix(words);
    rest.is_some_and(|rest| {
        words.ends_with(' ') || !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;

    fn found(told: &str) -> Option<(String, &'static str)> {
        let columns = [
            ("at", Builtin::TimestampTz, false),
            ("Odd", Builtin::TimestampTz, false),
            ("clock", Builtin::Timestamp, false),
            ("day", Builtin::Date, false),
            ("note", Builtin::Text, false),
        ];
        let facts = sample::table(&columns, &[]);
        let found = find_zone_dependency(told, Side::Source, &facts.relation.columns);
        found.map(|ZoneDependency { column, made }| (column, made))
    }

    #[test]
    fn what_hangs_on_the_zone_is_seen() {
        for (told, column, made) in [
            ("(source.at)::date", "at", "the day"),
            ("((source.\"Odd\")::date + 1)", "Odd", "the day"),
            ("(source.at)::time without time zone", "at", "the time of day"),
            ("(source.at)::timestamp without time zone", "at", "the clock time"),
            ("(source.at)::text", "at", "the text"),
            ("(source.clock)::timestamp with time zone", "clock", "the moment"),
            ("(source.day)::timestamp with time zone", "day", "the moment"),
            ("EXTRACT(hour FROM source.at)", "at", "a part"),
            ("date_trunc('day'::text, source.at)", "at", "the beginning"),
            ("to_char(source.at, 'x'::text)", "at", "the text"),
        ] {
            assert_eq!(found(told), Some((column.to_owned(), made)), "{told}");
        }
    }

    #[test]
    fn what_does_not_is_passed_over() {
        for told in [
            "((source.at AT TIME ZONE 'Europe/Stockholm'::text))::date",
            "(source.at)::timestamp with time zone",
            "(source.at > '2024-01-01 00:00:00+00'::timestamp with time zone)",
            "(source.clock)::date",
            "date_trunc('day'::text, source.clock)",
            "date_trunc('day'::text, source.at, 'UTC'::text)",
            "(source.attic)::date",
            "(target.at)::date",
            "(source.note)::text",
            "(source.at)::daterange",
        ] {
            assert_eq!(found(told), None, "{told}");
        }
    }
}
