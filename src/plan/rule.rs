//! What a rule makes of a pair: the canon in which its values meet, or why it does not fit them.
//!
//! A rule is part of the canon wherever SQL can say it alike on both servers, so that digests,
//! streamed rows and the diff of a row share one equality.

use super::canonical_form::Canon;
use super::common_type::{Refusal, is_textual, meet};
use super::tolerance::{Leeway, leeway};
use crate::schema::{Builtin, ColumnType, PgType};
use crate::spec::{Precision, Rule, Terms};

/// The canon and the leeway of a pair of these types under its terms.
pub(super) fn agree(
    terms: &Terms,
    source: &ColumnType,
    target: &ColumnType,
    asked: bool,
) -> Result<(Canon, Option<Leeway>), Refusal> {
    let canon = match terms.rule() {
        Rule::Exact => exact(meet(source, target, asked)?, terms),
        rule => ruled(rule, source, target, asked)?,
    };
    Ok((canon, leeway(terms, canon)?))
}

/// A tolerance between floats of two widths is measured in the wider one: rounding to the narrower
/// would move the values before they are held against each other.
fn exact(canon: Canon, terms: &Terms) -> Canon {
    match canon {
        Canon::Float(_) if terms.tolerance.is_some() => Canon::Float(Builtin::Float8),
        canon => canon,
    }
}

fn ruled(
    rule: Rule,
    source: &ColumnType,
    target: &ColumnType,
    asked: bool,
) -> Result<Canon, Refusal> {
    use Builtin as B;
    let both =
        |fits: &dyn Fn(&PgType) -> bool| fits(source.pg_type.base()) && fits(target.pg_type.base());
    let json = |pg_type: &PgType| {
        matches!(pg_type, PgType::Builtin(B::Json | B::Jsonb | B::Text | B::Varchar))
    };
    let (canon, what) = match rule {
        Rule::Json => (both(&json).then_some(Canon::JsonbText), "json, jsonb, text and varchar"),
        Rule::Trimmed => (both(&is_textual).then_some(Canon::TrimmedText), "texts"),
        Rule::CaseInsensitive => (both(&is_textual).then_some(Canon::LowerText), "texts"),
        Rule::NullAsEmpty => (both(&is_textual).then_some(Canon::NullAsEmpty), "texts"),
        Rule::Precision(Precision::Places(places)) => {
            let numeric = matches!(
                meet(source, target, asked)?,
                Canon::As(B::Numeric) | Canon::TrimmedNumeric
            );
            (numeric.then_some(Canon::Rounded(places)), "numeric, and numeric with a whole number")
        }
        Rule::Precision(unit) => {
            let canon = match meet(source, target, asked)? {
                Canon::As(
                    time @ (B::Timestamp | B::TimestampTz | B::Time | B::TimeTz | B::Interval),
                ) => Some(Canon::Truncated(time, unit)),
                _ => None,
            };
            (canon, "times and intervals")
        }
        Rule::Exact => (Some(meet(source, target, asked)?), "every type"),
    };
    canon.ok_or_else(|| Refusal {
        why: format!("the rule \"{rule}\" is not for these types"),
        hint: format!("It is for {what}; an expression can bring other values into one form."),
    })
}

/// Refuses what a key cannot have: its values pair the rows, so nothing about them can be judged
/// on a pair of rows, and the client has to know their order.
pub(super) fn in_key(terms: &Terms, canon: Canon, leeway: Option<&Leeway>) -> Result<(), Refusal> {
    let refuse = |why: String, hint: &str| Err(Refusal { why, hint: hint.to_owned() });
    match leeway {
        Some(Leeway::AnyCase) => refuse(
            format!("a key cannot have the rule \"{}\"", terms.rule()),
            "Rows are paired by their keys: write { sql = \"lower(…)\" } for the source and \
             target_sql for the target.",
        ),
        Some(_) => refuse("a key cannot have a tolerance".into(), "Rows are paired by their keys."),
        None if terms.rule() != Rule::Exact && canon.key_field().is_none() => refuse(
            format!("a key of this type cannot have the rule \"{}\"", terms.rule()),
            "Write the rule as an expression for both sides, with sql and target_sql.",
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Collation;
    use crate::spec::Placed;

    fn of(rule: Rule, a: Builtin, b: Builtin) -> Result<Canon, Refusal> {
        let side = |builtin| ColumnType {
            display: String::new(),
            pg_type: PgType::Domain(Box::new(PgType::Builtin(builtin))),
            modifier: -1,
            collation: Collation::None,
            collation_id: None,
        };
        let rule = Some(Placed { value: rule, span: 0..0 });
        let terms = Terms { rule, ..Terms::default() };
        agree(&terms, &side(a), &side(b), true).map(|(canon, _)| canon)
    }

    #[test]
    fn each_rule_has_its_types() {
        use Builtin as B;
        let seconds = Precision::Seconds;
        let places = Rule::Precision(Precision::Places(2));
        for (rule, a, b, canon) in [
            (Rule::Exact, B::Text, B::Varchar, Canon::Text),
            (Rule::Json, B::Text, B::Jsonb, Canon::JsonbText),
            (Rule::Json, B::Json, B::Json, Canon::JsonbText),
            (Rule::Trimmed, B::Bpchar, B::Text, Canon::TrimmedText),
            (Rule::CaseInsensitive, B::Name, B::Varchar, Canon::LowerText),
            (Rule::NullAsEmpty, B::Text, B::Text, Canon::NullAsEmpty),
            (places, B::Numeric, B::Int4, Canon::Rounded(2)),
            (places, B::Numeric, B::Numeric, Canon::Rounded(2)),
            (Rule::Precision(seconds), B::Time, B::Time, Canon::Truncated(B::Time, seconds)),
            (
                Rule::Precision(seconds),
                B::Date,
                B::Timestamp,
                Canon::Truncated(B::Timestamp, seconds),
            ),
        ] {
            assert_eq!(of(rule, a, b), Ok(canon), "{rule} {a:?} {b:?}");
        }
    }

    #[test]
    fn a_rule_does_not_stretch_to_other_types() {
        use Builtin as B;
        for (rule, a, b) in [
            (Rule::Json, B::Json, B::Bytea),
            (Rule::Trimmed, B::Text, B::Json),
            (Rule::CaseInsensitive, B::Uuid, B::Text),
            (Rule::NullAsEmpty, B::Int4, B::Int4),
            (Rule::Precision(Precision::Places(2)), B::Int4, B::Int8),
            (Rule::Precision(Precision::Places(2)), B::Float8, B::Float8),
            (Rule::Precision(Precision::Places(2)), B::Timestamp, B::Timestamp),
            (Rule::Precision(Precision::Seconds), B::Date, B::Date),
            (Rule::Precision(Precision::Seconds), B::Timestamp, B::TimestampTz),
            (Rule::Precision(Precision::Milliseconds), B::Numeric, B::Numeric),
        ] {
            let refusal = of(rule, a, b).unwrap_err();
            assert!(refusal.hint.ends_with('.'), "{rule} {a:?} {b:?}");
        }
    }
}
