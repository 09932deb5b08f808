//! The order of keys, the same as the servers'.
//!
//! The servers find range boundaries and search ranges; the client sorts keys only to find out which are
//! neighbours. Its order must be that of PostgreSQL for every value; the tests check that against a server.

use std::cmp::Ordering;

use super::Key;
use super::numeric::{Numeric, NumericClass};

/// The order of the binary form of one key field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyField {
    /// Integers, dates and times: a big-endian number in two's complement.
    Signed,
    /// Bytes: text with collation "C", uuid, bytea, bool, and unsigned numbers.
    Bytes,
    /// `numeric`: sign, weight, digits.
    Numeric,
    /// `float4` and `float8`; NaN is above everything.
    Float,
    /// Text with another collation, which is the same on both servers; its order is computed by them only.
    Collated,
}

/// The order of keys of one mapping: field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrder(pub Vec<KeyField>);

impl KeyOrder {
    /// Returns whether the client can compare two keys. If not, only the servers find boundaries and search
    /// ranges, and the client sorts nothing.
    pub fn is_known(&self) -> bool {
        !self.0.contains(&KeyField::Collated)
    }

    /// Compares two keys of this mapping. If the order is not known, the result is an arbitrary order.
    pub fn compare(&self, one: &Key, other: &Key) -> Ordering {
        for (field, (a, b)) in self.0.iter().zip(one.fields().zip(other.fields())) {
            let ordering = match field {
                KeyField::Signed => signed(a).cmp(&signed(b)),
                KeyField::Bytes | KeyField::Collated => a.cmp(b),
                KeyField::Numeric => compare_numerics(a, b),
                KeyField::Float => compare_floats(a, b),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        Ordering::Equal
    }
}

fn signed(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| (value << 8) | i64::from(*byte))
}

fn compare_floats(a: &[u8], b: &[u8]) -> Ordering {
    let value = |bytes: &[u8]| match *bytes {
        [a, b, c, d] => f64::from(f32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => f64::NAN,
    };
    let (a, b) = (value(a), value(b));
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn compare_numerics(a: &[u8], b: &[u8]) -> Ordering {
    let (one, other) = match (Numeric::read(a), Numeric::read(b)) {
        (Some(one), Some(other)) => (one, other),
        // No server sends bytes of another form; they only need to be in some order.
        (one, other) => return one.is_some().cmp(&other.is_some()).then_with(|| a.cmp(b)),
    };
    let magnitude = || {
        // Digits are big-endian words without leading or (after trim_scale) trailing zeros, so
        // bytes in order are digits in order, and a longer number that starts alike is larger.
        one.weight.cmp(&other.weight).then_with(|| one.digits.cmp(other.digits))
    };
    one.class.cmp(&other.class).then_with(|| match one.class {
        NumericClass::Positive => magnitude(),
        NumericClass::Negative => magnitude().reverse(),
        _ => Ordering::Equal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_ordered(field: KeyField, keys: &[&[u8]]) {
        let order = KeyOrder(vec![field]);
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                assert_eq!(order.compare(&Key::new([*a]), &Key::new([*b])), i.cmp(&j), "{i} {j}");
            }
        }
    }

    #[test]
    fn signed_numbers_of_any_width_are_ordered_by_value() {
        let keys = [i64::MIN, -1, 0, 1, i64::MAX].map(i64::to_be_bytes);
        assert_ordered(KeyField::Signed, &keys.each_ref().map(|k| &k[..]));
        let keys = [i16::MIN, -1, 0, 1, i16::MAX].map(i16::to_be_bytes);
        assert_ordered(KeyField::Signed, &keys.each_ref().map(|k| &k[..]));
    }

    #[test]
    fn floats_put_infinities_at_the_ends_and_nan_above() {
        let values = [f64::NEG_INFINITY, -1.5, 0.0, 1e-300, f64::INFINITY, f64::NAN];
        let keys = values.map(f64::to_be_bytes);
        assert_ordered(KeyField::Float, &keys.each_ref().map(|k| &k[..]));
    }

    #[test]
    fn numerics_are_ordered_by_sign_weight_and_digits() {
        let make = |sign: u16, weight: i16, digits: &[u16]| {
            let mut words = vec![digits.len() as u16, weight.cast_unsigned(), sign, 0];
            words.extend(digits);
            words.into_iter().flat_map(u16::to_be_bytes).collect::<Vec<_>>()
        };
        let keys = [
            make(0xF000, 0, &[]),
            make(0x4000, 1, &[1, 5]),
            make(0x4000, 0, &[2]),
            make(0x4000, -1, &[1]),
            make(0, 0, &[]),
            make(0, -1, &[300]),
            make(0, 0, &[300]),
            make(0, 0, &[300, 1]),
            make(0, 0, &[301]),
            make(0, 1, &[1]),
            make(0xD000, 0, &[]),
            make(0xC000, 0, &[]),
        ];
        assert_ordered(KeyField::Numeric, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn composite_keys_are_ordered_field_by_field() {
        let order = KeyOrder(vec![KeyField::Bytes, KeyField::Signed]);
        let key = |text: &str, number: i32| Key::new([text.as_bytes(), &number.to_be_bytes()]);
        assert_eq!(order.compare(&key("a", 9), &key("b", 1)), Ordering::Less);
        assert_eq!(order.compare(&key("a", -9), &key("a", 1)), Ordering::Less);
        assert_eq!(order.compare(&key("a", 1), &key("a", 1)), Ordering::Equal);
    }
}
