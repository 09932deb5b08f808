//! The canonical form of a pair under its rule, or why the rule does not fit the types.
//!
//! A rule is part of the canonical form wherever SQL gives the same result on both servers, so that
//! digests, streamed rows and the diff of a row share one equality.

use super::canonical_form::CanonicalForm;
use super::common_type::{find_common_type, is_textual};
use super::tolerance::{Tolerance, read_tolerance};
use crate::problem::Problem;
use crate::schema::{Builtin, ColumnType, PgType};
use crate::spec::{PairSettings, Precision, Rule};

/// Returns the canonical form and the tolerance of a pair of these types under its settings.
pub(crate) fn choose_form(
    settings: &PairSettings,
    source: &ColumnType,
    target: &ColumnType,
    is_named: bool,
) -> Result<(CanonicalForm, Option<Tolerance>), Problem> {
    let form = match settings.rule() {
        Rule::Exact => exact_form(find_common_type(source, target, is_named)?, settings),
        rule => form_of_rule(rule, source, target, is_named)?,
    };
    Ok((form, read_tolerance(settings, form)?))
}

/// Returns the form without a rule. A tolerance between floats of two widths is measured in the wider
/// type: rounding to the narrower would move the values before they are compared.
fn exact_form(form: CanonicalForm, settings: &PairSettings) -> CanonicalForm {
    match form {
        CanonicalForm::Float(_) if settings.tolerance.is_some() => {
            CanonicalForm::Float(Builtin::Float8)
        }
        form => form,
    }
}

/// Returns the form under a rule.
fn form_of_rule(
    rule: Rule,
    source: &ColumnType,
    target: &ColumnType,
    is_named: bool,
) -> Result<CanonicalForm, Problem> {
    use Builtin as B;
    let both =
        |fits: &dyn Fn(&PgType) -> bool| fits(source.pg_type.base()) && fits(target.pg_type.base());
    let json = |pg_type: &PgType| {
        matches!(pg_type, PgType::Builtin(B::Json | B::Jsonb | B::Text | B::Varchar))
    };
    let (form, what) = match rule {
        Rule::Json => {
            (both(&json).then_some(CanonicalForm::JsonbText), "json, jsonb, text and varchar")
        }
        Rule::Trimmed => (both(&is_textual).then_some(CanonicalForm::TrimmedText), "texts"),
        Rule::CaseInsensitive => (both(&is_textual).then_some(CanonicalForm::LowerText), "texts"),
        Rule::NullAsEmpty => (both(&is_textual).then_some(CanonicalForm::NullAsEmpty), "texts"),
        Rule::Precision(Precision::Places(places)) => {
            let numeric = matches!(
                find_common_type(source, target, is_named)?,
                CanonicalForm::As(B::Numeric) | CanonicalForm::TrimmedNumeric
            );
            (
                numeric.then_some(CanonicalForm::Rounded(places)),
                "numeric, and numeric with a whole number",
            )
        }
        Rule::Precision(unit) => {
            let form = match find_common_type(source, target, is_named)? {
                CanonicalForm::As(
                    time @ (B::Timestamp | B::TimestampTz | B::Time | B::TimeTz | B::Interval),
                ) => Some(CanonicalForm::Truncated(time, unit)),
                _ => None,
            };
            (form, "times and intervals")
        }
        Rule::Exact => (Some(find_common_type(source, target, is_named)?), "every type"),
    };
    form.ok_or_else(|| {
        Problem::new(format!("the rule \"{rule}\" is not for these types"))
            .with_hint(format!("It is for {what}. Use an expression for other values."))
    })
}

/// Checks the settings of a key pair. Its values match the rows, so it cannot have a tolerance, which
/// needs both rows, and the client has to know the order of its form.
pub(crate) fn check_key_pair(
    settings: &PairSettings,
    form: CanonicalForm,
    tolerance: Option<&Tolerance>,
) -> Result<(), Problem> {
    let refuse = |message: String, hint: &str| Err(Problem::new(message).with_hint(hint));
    match tolerance {
        Some(Tolerance::AnyCase) => refuse(
            format!("a key cannot have the rule \"{}\"", settings.rule()),
            "Rows are paired by their keys: write { sql = \"lower(…)\" } for the source and \
             target_sql for the target.",
        ),
        Some(_) => refuse("a key cannot have a tolerance".into(), "Rows are paired by their keys."),
        None if settings.rule() != Rule::Exact && form.key_field().is_none() => refuse(
            format!("a key of this type cannot have the rule \"{}\"", settings.rule()),
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

    /// The canonical form, or the hint.
    fn of(rule: Rule, a: Builtin, b: Builtin) -> Result<CanonicalForm, String> {
        let side = |builtin| ColumnType {
            display: String::new(),
            pg_type: PgType::Domain(Box::new(PgType::Builtin(builtin))),
            modifier: -1,
            collation: Collation::None,
            collation_id: None,
        };
        let rule = Some(Placed { value: rule, span: 0..0 });
        let settings = PairSettings { rule, ..PairSettings::default() };
        choose_form(&settings, &side(a), &side(b), true)
            .map(|(form, _)| form)
            .map_err(|problem| problem.hint.unwrap())
    }

    #[test]
    fn each_rule_has_its_types() {
        use Builtin as B;
        let seconds = Precision::Seconds;
        let places = Rule::Precision(Precision::Places(2));
        for (rule, a, b, form) in [
            (Rule::Exact, B::Text, B::Varchar, CanonicalForm::Text),
            (Rule::Json, B::Text, B::Jsonb, CanonicalForm::JsonbText),
            (Rule::Json, B::Json, B::Json, CanonicalForm::JsonbText),
            (Rule::Trimmed, B::Bpchar, B::Text, CanonicalForm::TrimmedText),
            (Rule::CaseInsensitive, B::Name, B::Varchar, CanonicalForm::LowerText),
            (Rule::NullAsEmpty, B::Text, B::Text, CanonicalForm::NullAsEmpty),
            (places, B::Numeric, B::Int4, CanonicalForm::Rounded(2)),
            (places, B::Numeric, B::Numeric, CanonicalForm::Rounded(2)),
            (
                Rule::Precision(seconds),
                B::Time,
                B::Time,
                CanonicalForm::Truncated(B::Time, seconds),
            ),
            (
                Rule::Precision(seconds),
                B::Date,
                B::Timestamp,
                CanonicalForm::Truncated(B::Timestamp, seconds),
            ),
        ] {
            assert_eq!(of(rule, a, b), Ok(form), "{rule} {a:?} {b:?}");
        }
    }

    #[test]
    fn a_rule_is_refused_for_other_types() {
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
            let hint = of(rule, a, b).unwrap_err();
            assert!(hint.ends_with('.'), "{rule} {a:?} {b:?}");
        }
    }
}
