//! What a pair's values may differ by at row level: a tolerance, or letters' case in full.
//!
//! SQL cannot say it alike on two servers, or cannot say it of one value alone, so the canon stays
//! exact and digests see every such difference. They can only report too much: a row whose canons
//! are equal always agrees, and one whose canons differ is judged here, on both its values.

use jiff::{Span, SpanRelativeTo};

use super::canonical_form::Canon;
use super::common_type::Refusal;
use crate::row::Decimal;
use crate::schema::Builtin;
use crate::spec::{Rule, Terms};

/// What clears a difference of two canons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leeway {
    /// Numbers no further apart than this.
    Number(Decimal),
    /// Times no further apart than this, in nanoseconds; intervals only of equal months and days.
    Time(i128),
    /// Texts that are alike but for the case of letters.
    AnyCase,
}

/// The leeway that a pair's terms give to values of its canon.
pub(super) fn leeway(terms: &Terms, canon: Canon) -> Result<Option<Leeway>, Refusal> {
    let Some(tolerance) = &terms.tolerance else {
        return Ok((terms.rule() == Rule::CaseInsensitive).then_some(Leeway::AnyCase));
    };
    let refuse = |why: String, hint: &str| Err(Refusal { why, hint: hint.to_owned() });
    let text = &tolerance.value;
    match measure_of(canon) {
        Some(Measure::Number) => match Decimal::parse(text) {
            Some(number) if !number.is_negative() => Ok(Some(Leeway::Number(number))),
            Some(_) => refuse("a tolerance cannot be negative".into(), "Leave the sign out."),
            None => refuse(
                format!("the tolerance \"{text}\" is not a number"),
                "Write a number without a unit, for example \"0.005\".",
            ),
        },
        Some(Measure::Time) => match nanoseconds(text) {
            Some(time) if time >= 0 => Ok(Some(Leeway::Time(time))),
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

fn measure_of(canon: Canon) -> Option<Measure> {
    use Builtin as B;
    match canon.wire() {
        B::Int2 | B::Int4 | B::Int8 | B::Numeric | B::Money | B::Float4 | B::Float8 => {
            Some(Measure::Number)
        }
        B::Date | B::Time | B::TimeTz | B::Timestamp | B::TimestampTz | B::Interval => {
            Some(Measure::Time)
        }
        _ => None,
    }
}

/// A duration of days and smaller units; nothing if it is none.
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

    fn of(tolerance: &str, canon: Canon) -> Result<Option<Leeway>, Refusal> {
        let tolerance = Some(Placed { value: tolerance.to_owned(), span: 0..0 });
        leeway(&Terms { tolerance, ..Terms::default() }, canon)
    }

    #[test]
    fn a_tolerance_is_a_number_for_numbers_and_a_duration_for_times() {
        let cent = Leeway::Number(Decimal::parse("0.01").unwrap());
        for canon in [
            Canon::TrimmedNumeric,
            Canon::As(Builtin::Money),
            Canon::As(Builtin::Int2),
            Canon::Float(Builtin::Float4),
        ] {
            assert_eq!(of("0.01", canon), Ok(Some(cent.clone())));
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
                let found = of(text, Canon::As(builtin));
                assert_eq!(found, Ok(Some(Leeway::Time(nanoseconds))), "{text}");
            }
        }
    }

    #[test]
    fn a_tolerance_of_another_kind_is_refused_with_what_to_write() {
        for (text, canon, why) in [
            ("1s", Canon::TrimmedNumeric, "the tolerance \"1s\" is not a number"),
            ("-0.5", Canon::TrimmedNumeric, "a tolerance cannot be negative"),
            ("0.5", Canon::As(Builtin::Time), "the tolerance \"0.5\" is not a duration"),
            ("1 month", Canon::As(Builtin::Date), "the tolerance \"1 month\" is not a duration"),
            ("-1s", Canon::As(Builtin::Date), "a tolerance cannot be negative"),
            ("1", Canon::Text, "these types take no tolerance"),
            ("1", Canon::As(Builtin::Bool), "these types take no tolerance"),
        ] {
            let refusal = of(text, canon).unwrap_err();
            assert_eq!(refusal.why, why);
            assert!(refusal.hint.ends_with('.'));
        }
    }
}
