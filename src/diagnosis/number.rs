//! Causes of a difference between two numbers, compared to the last digit: another scale, rounding,
//! another sign, an overflow, or a factor.

use super::cause::Cause;
use crate::row::Decimal;
use crate::schema::Side;

/// A decimal number of at most 38 digits: `units` of 10^-`places`, without zeros at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    units: i128,
    places: u32,
}

/// The most characters of a number that is examined.
const MAX_LENGTH: usize = 100;
/// The most zeros of a factor: larger ones are no units of measurement.
const MAX_ZEROS: u32 = 9;

impl Number {
    /// Parses a decimal number, with an exponent or without. Returns `None` for one that does not
    /// fit.
    fn parse(text: &str) -> Option<Number> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (units, places) = Decimal::parse(text.strip_suffix('.').unwrap_or(text))?.to_units()?;
        Some(Number { units, places })
    }

    /// Returns the whole units of 10^-`places`, the remainder, and what the remainder is a part of.
    fn split(self, places: u32) -> (i128, i128, i128) {
        let one = 10_i128.pow(self.places - places);
        (self.units / one, self.units % one, one)
    }

    /// Truncates to so many decimal places.
    fn truncated(self, places: u32) -> i128 {
        self.split(places).0
    }

    /// Rounds to so many decimal places, halves away from zero as `numeric` does.
    fn rounded(self, places: u32) -> i128 {
        let (whole, rest, one) = self.split(places);
        if rest.abs() * 2 >= one { whole + rest.signum() } else { whole }
    }

    /// Returns the digits without zeros at the end, and the power of ten.
    fn scientific(self) -> (i128, i64) {
        let (mut digits, mut power) = (self.units, -i64::from(self.places));
        while digits != 0 && digits % 10 == 0 {
            (digits, power) = (digits / 10, power + 1);
        }
        (digits, power)
    }
}

/// Returns whether two texts are the same number.
pub(super) fn is_same(source: &str, target: &str) -> bool {
    let (source, target) = (Number::parse(source), Number::parse(target));
    source.is_some() && source == target
}

/// Adds the causes of a difference between two numbers.
pub(super) fn add_causes(source: &str, target: &str, found: &mut Vec<Cause>) {
    let (Some(source), Some(target)) = (Number::parse(source), Number::parse(target)) else {
        return;
    };
    if source == target {
        return found.push(Cause::NumberScale);
    }
    if source.units == -target.units && source.places == target.places {
        found.push(Cause::Sign);
    }
    if source.places == 0 && target.places == 0 {
        let apart = target.units.abs_diff(source.units);
        let bits = [32, 64].into_iter().find(|bits| apart == 1_u128 << bits);
        found.extend(bits.map(Cause::Wrapped));
    }
    let (one, other) = (source.scientific(), target.scientific());
    let zeros = other.1 - one.1;
    if one.0 == other.0 && one.0 != 0 && zeros.unsigned_abs() <= u64::from(MAX_ZEROS) {
        found.push(Cause::Factor(zeros as i32));
    }
    let (coarse, fine, side) = match source.places.cmp(&target.places) {
        std::cmp::Ordering::Greater => (target, source, Side::Target),
        std::cmp::Ordering::Less => (source, target, Side::Source),
        std::cmp::Ordering::Equal => return,
    };
    if fine.rounded(coarse.places) == coarse.units {
        found.push(Cause::Rounded(side, coarse.places));
    }
    if fine.truncated(coarse.places) == coarse.units {
        found.push(Cause::CutOff(side, coarse.places));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str, target: &str) -> Vec<Cause> {
        let mut found = Vec::new();
        add_causes(source, target, &mut found);
        found
    }

    #[test]
    fn equal_numbers_differ_only_in_scale() {
        for (one, other) in [("1", "1.0"), ("100", "1e2"), ("-0.50", "-5E-1"), ("0", "-0.0")] {
            assert!(is_same(one, other), "{one} {other}");
            assert_eq!(found(one, other), [Cause::NumberScale]);
        }
        for (one, other) in [("1", "1.01"), ("1", "x"), ("", ""), ("NaN", "NaN"), ("1.", "1e999")] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let long = "9".repeat(60);
        for text in [long.as_str(), "1e39", "1e-40", "--1", "1_000", "+1", "1e"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn signs_wraps_factors_and_roundings() {
        assert_eq!(found("79.78", "-79.78"), [Cause::Sign]);
        assert_eq!(found("-5", "4294967291"), [Cause::Wrapped(32)]);
        assert_eq!(found("-1", "18446744073709551615"), [Cause::Wrapped(64)]);
        assert_eq!(found("12.5", "1250"), [Cause::Factor(2)]);
        assert_eq!(found("4000", "4"), [Cause::Factor(-3)]);
        let (rounded, cut) = (Cause::Rounded, Cause::CutOff);
        let target = Side::Target;
        assert_eq!(found("1.005", "1.01"), [rounded(target, 2)]);
        assert_eq!(found("-1.009", "-1"), [rounded(target, 0), cut(target, 0)]);
        assert_eq!(found("1.9", "1"), [cut(target, 0)]);
        assert_eq!(
            found("1.1", "1.100000023841858"),
            [rounded(Side::Source, 1), cut(Side::Source, 1)]
        );
        assert_eq!(found("3", "5"), []);
    }
}
