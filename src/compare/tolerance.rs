//! Tolerances at row level: two canonical forms that differ may be within their pair's tolerance.
//!
//! Equal canonical forms agree whatever the tolerance. NULL agrees only with NULL, and NaN and the
//! infinities agree only with themselves.

use std::ops::Range;

use crate::plan::{Pair, Tolerance};
use crate::row::{Decimal, Fingerprint, Fingerprinter, Record};
use crate::schema::Builtin;

/// Returns whether two values of a pair agree: their canonical forms are equal or within its tolerance.
pub fn agree(pair: &Pair, source: Option<&[u8]>, target: Option<&[u8]>) -> bool {
    source == target
        || match (&pair.tolerance, source, target) {
            (Some(tolerance), Some(source), Some(target)) => {
                is_within(tolerance, pair.form.wire(), source, target)
            }
            _ => false,
        }
}

/// Returns whether two rows agree in these fields.
pub(super) fn rows_agree(
    pairs: &[Pair],
    source: &impl Record,
    target: &impl Record,
    mut fields: Range<usize>,
) -> bool {
    fields.all(|index| agree(&pairs[index], source.field(index), target.field(index)))
}

fn is_within(tolerance: &Tolerance, wire: Builtin, source: &[u8], target: &[u8]) -> bool {
    match tolerance {
        Tolerance::Number(tolerance) => match (number(wire, source), number(wire, target)) {
            (Some(source), Some(target)) => source.within(&target, tolerance),
            _ => false,
        },
        Tolerance::Time(tolerance) => match (time(wire, source), time(wire, target)) {
            (Some(source), Some(target)) if source.beside == target.beside => {
                let apart = i128::from(source.units).abs_diff(i128::from(target.units));
                apart * source.unit.unsigned_abs() <= tolerance.unsigned_abs()
            }
            _ => false,
        },
        Tolerance::AnyCase => match (str::from_utf8(source), str::from_utf8(target)) {
            (Ok(source), Ok(target)) => fold_case(source).eq(fold_case(target)),
            _ => false,
        },
    }
}

/// Returns the letters of a text in lower case, each by itself: a final sigma equals any other sigma.
fn fold_case(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c })
}

fn number(wire: Builtin, bytes: &[u8]) -> Option<Decimal> {
    match wire {
        Builtin::Numeric => Decimal::numeric(bytes),
        Builtin::Float4 => Decimal::float(f64::from(f32::from_be_bytes(bytes.try_into().ok()?))),
        Builtin::Float8 => Decimal::float(f64::from_be_bytes(bytes.try_into().ok()?)),
        // In hundredths under the pinned lc_monetary.
        Builtin::Money => Some(Decimal::of(i128::from(signed(bytes)?) * 100, -1)),
        _ => Some(Decimal::of(i128::from(signed(bytes)?), 0)),
    }
}

/// A time as a count of units.
struct Time {
    units: i64,
    /// Nanoseconds of a unit.
    unit: i128,
    /// What has no fixed length and has to be equal: a zone, or days and months of an interval.
    beside: (i32, i32),
}

/// Reads a time. Returns `None` for the infinities.
fn time(wire: Builtin, bytes: &[u8]) -> Option<Time> {
    const MICROSECOND: i128 = 1_000;
    const DAY: i128 = 86_400_000_000_000;
    let (first, rest) = match wire {
        Builtin::Date => (i64::from(i32::from_be_bytes(bytes.try_into().ok()?)), &[][..]),
        _ => {
            let (first, rest) = bytes.split_first_chunk::<8>()?;
            (i64::from_be_bytes(*first), rest)
        }
    };
    let word = |at: usize| {
        let bytes = rest.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, i32::from_be_bytes)
    };
    let time = |unit, beside| Some(Time { units: first, unit, beside });
    match wire {
        Builtin::Date if [i64::from(i32::MIN), i64::from(i32::MAX)].contains(&first) => None,
        Builtin::Date => time(DAY, (0, 0)),
        Builtin::Time => time(MICROSECOND, (0, 0)),
        Builtin::TimeTz => time(MICROSECOND, (word(0), 0)),
        Builtin::Interval => match (first, word(0), word(4)) {
            (i64::MIN, i32::MIN, i32::MIN) | (i64::MAX, i32::MAX, i32::MAX) => None,
            (_, days, months) => time(MICROSECOND, (days, months)),
        },
        _ if [i64::MIN, i64::MAX].contains(&first) => None,
        _ => time(MICROSECOND, (0, 0)),
    }
}

/// Reads a whole number of two, four or eight bytes.
fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        2 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
        4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
        8 => i64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

/// The parts of a row that are kept until its counterpart comes: the fields that have a tolerance, and
/// a fingerprint of the others.
#[derive(Debug)]
pub(super) struct WaitingRow {
    others: Fingerprint,
    /// By index; `None` for fields without a tolerance.
    fields: Box<[Option<Box<[u8]>>]>,
}

impl WaitingRow {
    pub(super) fn of(
        row: &impl Record,
        pairs: &[Pair],
        fingerprinter: &mut Fingerprinter,
    ) -> WaitingRow {
        let others = fingerprinter.of(&Exact(row, pairs), 0..pairs.len());
        let field = |index: usize| {
            let kept = pairs[index].tolerance.as_ref().and(row.field(index));
            kept.map(Box::from)
        };
        WaitingRow { others, fields: (0..pairs.len()).map(field).collect() }
    }

    pub(super) fn agrees(&self, target: &WaitingRow, pairs: &[Pair]) -> bool {
        self.others == target.others && rows_agree(pairs, self, target, 0..pairs.len())
    }

    /// Returns the number of bytes that it holds.
    pub(super) fn size(&self) -> usize {
        let held = self.fields.iter().flatten().map(|field| field.len());
        size_of::<WaitingRow>()
            + self.fields.len() * size_of::<Option<Box<[u8]>>>()
            + held.sum::<usize>()
    }
}

impl Record for WaitingRow {
    fn field(&self, index: usize) -> Option<&[u8]> {
        self.fields[index].as_deref()
    }
}

/// A row with only the fields that have no tolerance.
struct Exact<'r, R>(&'r R, &'r [Pair]);

impl<R: Record> Record for Exact<'_, R> {
    fn field(&self, index: usize) -> Option<&[u8]> {
        if self.1[index].tolerance.is_some() { None } else { self.0.field(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(tolerance: &str, wire: Builtin, source: &[u8], target: &[u8]) -> bool {
        let tolerance = Tolerance::Number(Decimal::parse(tolerance).unwrap());
        let within = is_within(&tolerance, wire, source, target);
        assert_eq!(within, is_within(&tolerance, wire, target, source));
        within
    }

    fn near(nanoseconds: i128, wire: Builtin, source: &[u8], target: &[u8]) -> bool {
        let tolerance = Tolerance::Time(nanoseconds);
        let within = is_within(&tolerance, wire, source, target);
        assert_eq!(within, is_within(&tolerance, wire, target, source));
        within
    }

    #[test]
    fn whole_numbers_of_any_width_are_measured_without_overflow() {
        let (low, high) = (i64::MIN.to_be_bytes(), i64::MAX.to_be_bytes());
        assert!(within("18446744073709551615", Builtin::Int8, &low, &high));
        assert!(!within("18446744073709551614.9", Builtin::Int8, &low, &high));
        assert!(within("1.5", Builtin::Int2, &7_i16.to_be_bytes(), &8_i16.to_be_bytes()));
        assert!(!within("1.5", Builtin::Int4, &7_i32.to_be_bytes(), &9_i32.to_be_bytes()));
    }

    #[test]
    fn money_counts_in_hundredths() {
        let cents = |cents: i64| cents.to_be_bytes();
        assert!(within("0.05", Builtin::Money, &cents(-2), &cents(3)));
        assert!(!within("0.05", Builtin::Money, &cents(-3), &cents(3)));
    }

    #[test]
    fn floats_are_measured_at_their_exact_values() {
        let float4 = |value: f32| value.to_be_bytes();
        let step = 1.0_f32.next_up();
        assert!(within("1.1920928955078125e-7", Builtin::Float4, &float4(1.0), &float4(step)));
        assert!(!within("1.1920928955078124e-7", Builtin::Float4, &float4(1.0), &float4(step)));
        let float8 = |value: f64| value.to_be_bytes();
        // 0.3 - 0.2 is a little less than 0.1, 0.8 - 0.7 a little more.
        assert!(within("0.1", Builtin::Float8, &float8(0.3), &float8(0.2)));
        assert!(!within("0.1", Builtin::Float8, &float8(0.8), &float8(0.7)));
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!within("1e1000", Builtin::Float8, &float8(odd), &float8(1.0)));
        }
    }

    #[test]
    fn times_are_measured_in_their_units_and_infinity_is_never_near() {
        const SECOND: i128 = 1_000_000_000;
        let stamp = |micros: i64| micros.to_be_bytes();
        assert!(near(SECOND, Builtin::Timestamp, &stamp(0), &stamp(1_000_000)));
        assert!(!near(SECOND, Builtin::TimestampTz, &stamp(0), &stamp(1_000_001)));
        assert!(!near(i128::MAX, Builtin::Timestamp, &stamp(i64::MAX), &stamp(i64::MAX - 1)));
        assert!(!near(999, Builtin::Time, &stamp(0), &stamp(1)));
        let date = |days: i32| days.to_be_bytes();
        assert!(near(86_400 * SECOND, Builtin::Date, &date(-1), &date(0)));
        assert!(!near(86_399 * SECOND, Builtin::Date, &date(-1), &date(0)));
        assert!(!near(i128::MAX, Builtin::Date, &date(i32::MIN), &date(0)));
    }

    #[test]
    fn zones_days_and_months_have_to_be_the_same() {
        let interval = |micros: i64, days: i32, months: i32| {
            [&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()
        };
        let second = 1_000_000_000;
        let one = interval(0, 1, 2);
        assert!(near(second, Builtin::Interval, &one, &interval(-1_000_000, 1, 2)));
        assert!(!near(second, Builtin::Interval, &one, &interval(0, 0, 2)));
        assert!(!near(second, Builtin::Interval, &one, &interval(0, 1, 3)));
        let endless = interval(i64::MAX, i32::MAX, i32::MAX);
        let long = interval(i64::MAX - 1, i32::MAX, i32::MAX);
        assert!(!near(second, Builtin::Interval, &endless, &long));
        let zoned =
            |micros: i64, zone: i32| [&micros.to_be_bytes()[..], &zone.to_be_bytes()].concat();
        assert!(near(second, Builtin::TimeTz, &zoned(0, 3600), &zoned(1_000_000, 3600)));
        assert!(!near(second, Builtin::TimeTz, &zoned(0, 3600), &zoned(0, 0)));
    }

    #[test]
    fn only_case_is_folded_beyond_ascii_too() {
        let alike = |a: &str, b: &str| {
            is_within(&Tolerance::AnyCase, Builtin::Text, a.as_bytes(), b.as_bytes())
        };
        assert!(alike("ÄÖÜ", "äöü") && alike("ЖУК", "жук") && alike("ΟΔΟΣ", "οδοσ"));
        assert!(alike("οδος", "ΟΔΟΣ") && alike("ẞ", "ß"));
        assert!(!alike("ß", "ss") && !alike("ä", "a") && !alike("a ", "a") && !alike("", "a"));
        assert!(!is_within(&Tolerance::AnyCase, Builtin::Text, &[0xff], b"a"));
    }
}
