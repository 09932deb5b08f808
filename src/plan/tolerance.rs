//! Tolerances: how far the values of a pair may differ and still agree, at row level.
//!
//! A tolerance compares two values, and the full case of letters depends on a server's locale, so
//! neither can be part of a canonical form. The form stays exact and digests see every such difference.
//! They can only report too much: rows with equal canonical forms always agree, and `compare` applies
//! the tolerance to the two values of the others.

use jiff::{Span, SpanRelativeTo};

use super::canonical_form::CanonicalForm;
use crate::problem::Problem;
use crate::row::Decimal;
use crate::schema::Builtin;
use crate::spec::{PairSettings, Rule};

/// Which differences of two canonical forms are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// Numbers no further apart than this.
    Number(Decimal),
    /// Times no further apart than this, in nanoseconds; intervals only of equal months and days.
    Time(i128),
    /// Texts that are alike but for the case of letters.
    AnyCase,
}

/// Reads the tolerance of a pair: from its settings, for values of this canonical form.
pub(super) fn read_tolerance(
    settings: &PairSettings,
    form: CanonicalForm,
) -> Result<Option<Tolerance>, Problem> {
    let Some(tolerance) = &settings.tolerance else {
        return Ok((settings.rule() == Rule::CaseInsensitive).then_some(Tolerance::AnyCase));
    };
    let refuse = |message: String, hint: &str| Err(Problem::new(message).with_hint(hint));
    let text = &tolerance.value;
    match measure_of(form) {
        Some(Measure::Number) => match Decimal::parse(text) {
            Some(number) if !number.is_negative() => Ok(Some(Tolerance::Number(number))),
            Some(_) => refuse("a tolerance cannot be negative".into(), "Leave the sign out."),
            None => refuse(
                format!("the tolerance \"{text}\" is not a number"),
                "Write a number without a unit, for example \"0.005\".",
            ),
        },
        Some(Measure::Time) => match nanoseconds(text) {
            Some(time) if time >= 0 => Ok(Some(Tolerance::Time(time))),
            Some(_) => refuse("a tolerance cannot be negative".into(), "Leave the sign out."),
            None => refuse(
                format!("the tolerance \"{text}\" is not a duration"),
                "Write a number with a unit, for example \"1s\", \"500ms\" or \"1d\"; a month or a \
                 year has no length of its own.",
            ),
        },
        None => refuse(
            "these types take no tolerance".into(),
            "Numbers, floats, times and intervals do; other values can be brought into one form \
             with a rule or an expression.",
        ),
    }
}

enum Measure {
    Number,
    Time,
}

fn measure_of(form: CanonicalForm) -> Option<Measure> {
    use Builtin as B;
    match form.wire() {
        B::Int2 | B::Int4 | B::Int8 | B::Numeric | B::Money | B::Float4 | B::Float8 => {
            Some(Measure::Number)
        }
        B::Date | B::Time | B::TimeTz | B::Timestamp | B::TimestampTz | B::Interval => {
            Some(Measure::Time)
        }
        _ => None,
    }
}

/// Reads a duration of days and smaller units. Returns `None` if it is none.
fn nanoseconds(text: &str) -> Option<i128> {
    let span: Span = text.trim().parse().ok()?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return None;
    }
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Some(length.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Placed;

    /// The tolerance, or message and hint.
    fn of(
        tolerance: &str,
        form: CanonicalForm,
    ) -> Result<Option<Tolerance>, (String, Option<String>)> {
        let tolerance = Some(Placed { value: tolerance.to_owned(), span: 0..0 });
        read_tolerance(&PairSettings { tolerance, ..PairSettings::default() }, form)
            .map_err(|problem| (problem.message, problem.hint))
    }

    #[test]
    fn a_tolerance_is_a_number_for_numbers_and_a_duration_for_times() {
        let cent = Tolerance::Number(Decimal::parse("0.01").unwrap());
        for form in [
            CanonicalForm::TrimmedNumeric,
            CanonicalForm::As(Builtin::Money),
            CanonicalForm::As(Builtin::Int2),
            CanonicalForm::Float(Builtin::Float4),
        ] {
            assert_eq!(of("0.01", form), Ok(Some(cent.clone())));
        }
        for (text, nanoseconds) in [
            ("1s", 1_000_000_000),
            ("500ms", 500_000_000),
            ("1us", 1_000),
            ("1d", 86_400_000_000_000),
            ("1 day 2h", 93_600_000_000_000),
            ("0s", 0),
        ] {
            for builtin in [Builtin::Date, Builtin::TimestampTz, Builtin::Interval] {
                let found = of(text, CanonicalForm::As(builtin));
                assert_eq!(found, Ok(Some(Tolerance::Time(nanoseconds))), "{text}");
            }
        }
    }

    #[test]
    fn a_tolerance_of_another_kind_is_refused_with_what_to_write() {
        for (text, form, why) in [
            ("1s", CanonicalForm::TrimmedNumeric, "the tolerance \"1s\" is not a number"),
            ("-0.5", CanonicalForm::TrimmedNumeric, "a tolerance cannot be negative"),
            ("0.5", CanonicalForm::As(Builtin::Time), "the tolerance \"0.5\" is not a duration"),
            (
                "1 month",
                CanonicalForm::As(Builtin::Date),
                "the tolerance \"1 month\" is not a duration",
            ),
            ("-1s", CanonicalForm::As(Builtin::Date), "a tolerance cannot be negative"),
            ("1", CanonicalForm::Text, "these types take no tolerance"),
            ("1", CanonicalForm::As(Builtin::Bool), "these types take no tolerance"),
        ] {
            let (message, hint) = of(text, form).unwrap_err();
            assert_eq!(message, why);
            assert!(hint.unwrap().ends_with('.'));
        }
    }
}
