//! The binary form of PostgreSQL's `numeric` (`numeric_send`): four 16-bit words (number of digits,
//! weight, sign, scale), then the digits of base 10,000, the highest first.

/// A value in its binary form. Nothing is copied: keys are put in order by the million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numeric<'a> {
    pub(super) class: NumericClass,
    /// The first digit counts 10,000 to this power.
    pub(super) weight: i16,
    /// The digits, two bytes each, without zeros at either end.
    pub(super) digits: &'a [u8],
}

/// The classes of values in PostgreSQL's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NumericClass {
    NegativeInfinity,
    Negative,
    Zero,
    Positive,
    Infinity,
    NotANumber,
}

impl Numeric<'_> {
    /// Reads the binary form. Returns `None` for bytes that have another form.
    pub(super) fn read(bytes: &[u8]) -> Option<Numeric<'_>> {
        let (header, digits) = bytes.split_first_chunk::<8>()?;
        let [count, weight, sign, _scale] =
            [0, 2, 4, 6].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
        if digits.len() != 2 * usize::from(count) {
            return None;
        }
        let class = match sign {
            0xF000 => NumericClass::NegativeInfinity,
            0xD000 => NumericClass::Infinity,
            0xC000 => NumericClass::NotANumber,
            0 | 0x4000 if digits.is_empty() => NumericClass::Zero,
            0x4000 => NumericClass::Negative,
            0 => NumericClass::Positive,
            _ => return None,
        };
        Some(Numeric { class, weight: weight.cast_signed(), digits })
    }
}
