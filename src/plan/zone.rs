//! SQL of the spec whose result depends on the time zone of the session, which is pinned to UTC.
//!
//! The check reads the expression as the server parsed it, with every cast written out, and the types of
//! the columns are known. It finds casts and parts of a column itself; longer expressions are not
//! checked.

use crate::schema::{Builtin, Column, PgType, Side};

/// A column that is cast, or of which a part is taken, in the time zone of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneDependency {
    /// The column's name.
    pub column: String,
    /// What the expression makes of it, in words.
    pub made: &'static str,
}

/// Casts of a timestamptz that depend on the zone, and casts to a timestamptz.
const TIMESTAMPTZ_CASTS: [(&str, &str); 4] = [
    ("date", "the day"),
    ("time ", "the time of day"),
    ("timestamp without", "the clock time"),
    ("text", "the text"),
];
const TIMESTAMP_CASTS: [(&str, &str); 1] = [("timestamp with time zone", "the moment")];
/// Functions of a timestamptz, the character behind the argument, and what they make of it.
const PARTS: [(&str, char, &str); 4] = [
    ("EXTRACT(", ')', "a part"),
    ("date_part(", ')', "a part"),
    // A zone may follow.
    ("date_trunc(", ')', "the beginning"),
    ("to_char(", ',', "the text"),
];

/// Returns whether expressions over these columns may depend on the zone.
pub fn may_depend_on_zone(columns: &[Column]) -> bool {
    columns.iter().any(|column| casts(column).is_some())
}

fn casts(column: &Column) -> Option<&'static [(&'static str, &'static str)]> {
    match column.column_type.pg_type.base() {
        PgType::Builtin(Builtin::TimestampTz) => Some(&TIMESTAMPTZ_CASTS),
        PgType::Builtin(Builtin::Timestamp | Builtin::Date) => Some(&TIMESTAMP_CASTS),
        _ => None,
    }
}

/// Finds the first column of a side's rows whose use in an expression depends on the session's zone.
/// `parsed` is the expression as the server writes it.
pub fn find_zone_dependency(
    parsed: &str,
    side: Side,
    columns: &[Column],
) -> Option<ZoneDependency> {
    let columns = columns.iter().filter_map(|column| Some((column, casts(column)?)));
    for (column, casts) in columns {
        let name = &column.name.0;
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        for reference in [format!("{side}.{name}"), format!("{side}.{quoted}")] {
            let cast = |at: usize| {
                let rest = parsed.get(at + reference.len()..)?.strip_prefix(")::")?;
                casts.iter().find(|(word, _)| begins(rest, word)).map(|(_, made)| *made)
            };
            let part = |at: usize| {
                let (call, rest) = (parsed.get(..at)?, parsed.get(at + reference.len()..)?);
                let open = call.rfind('(').filter(|_| casts.len() > 1)?;
                let call = call.get(..=open)?;
                let is = |(name, next, _): &&(&str, char, &str)| {
                    call.ends_with(name) && rest.starts_with(*next)
                };
                PARTS.iter().find(is).map(|(.., made)| *made)
            };
            let places = parsed.match_indices(&reference).map(|(at, _)| at);
            let made = places.into_iter().find_map(|at| cast(at).or_else(|| part(at)));
            if let Some(made) = made {
                return Some(ZoneDependency { column: name.clone(), made });
            }
        }
    }
    None
}

/// Returns whether a text begins with these words, the last of them complete.
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

    fn found(parsed: &str) -> Option<(String, &'static str)> {
        let columns = [
            ("at", Builtin::TimestampTz, false),
            ("Odd", Builtin::TimestampTz, false),
            ("clock", Builtin::Timestamp, false),
            ("day", Builtin::Date, false),
            ("note", Builtin::Text, false),
        ];
        let facts = sample::table(&columns, &[]);
        let found = find_zone_dependency(parsed, Side::Source, &facts.relation.columns);
        found.map(|ZoneDependency { column, made }| (column, made))
    }

    #[test]
    fn a_dependency_on_the_zone_is_found() {
        for (parsed, column, made) in [
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
            assert_eq!(found(parsed), Some((column.to_owned(), made)), "{parsed}");
        }
    }

    #[test]
    fn other_expressions_are_not_found() {
        for parsed in [
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
            assert_eq!(found(parsed), None, "{parsed}");
        }
    }
}
