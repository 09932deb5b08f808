//! Causes of a difference between two values of one column, with their names and texts.

use super::moment::{Unit, format_nanos};
use crate::schema::Side;

/// Why two values differ: without it they would be equal. The side is the one that changed the
/// value, as far as the two values show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// NULL on this side where the other has an empty text.
    NullForEmpty(Side),
    /// NULL on this side.
    Null(Side),
    /// Blanks around the value on this side, or on either.
    Blanks(Option<Side>),
    /// The case of letters.
    Case,
    /// NFC against NFD, or another form of the same letters.
    UnicodeForm,
    /// The same number with another scale; also within JSON.
    NumberScale,
    /// The same JSON value, formatted differently.
    Json,
    /// Rounded to so many decimal places on this side.
    Rounded(Side, u32),
    /// Truncated to so many decimal places on this side.
    CutOff(Side, u32),
    /// The sign.
    Sign,
    /// The difference is two to this power.
    Wrapped(u32),
    /// The target is ten to this power times the source.
    Factor(i32),
    /// Truncated to a unit of time on this side.
    TimeCutOff(Side, Unit),
    /// Rounded to a unit of time on this side.
    TimeRounded(Side, Unit),
    /// The target is so many nanoseconds later.
    Shift(i128),
}

impl Cause {
    /// Returns whether two causes are the same, except for the number of decimal places.
    pub(super) fn is_like(self, other: Cause) -> bool {
        match (self, other) {
            (Cause::Rounded(one, _), Cause::Rounded(other, _))
            | (Cause::CutOff(one, _), Cause::CutOff(other, _)) => one == other,
            _ => self == other,
        }
    }

    /// Returns the cause that covers both.
    pub(super) fn wider(self, other: Cause) -> Cause {
        match (self, other) {
            (Cause::Rounded(side, one), Cause::Rounded(_, other)) => {
                Cause::Rounded(side, one.max(other))
            }
            (Cause::CutOff(side, one), Cause::CutOff(_, other)) => {
                Cause::CutOff(side, one.max(other))
            }
            _ => self,
        }
    }

    /// Returns how many findings must fit. Any two times differ by some shift; only the same shift
    /// in several rows explains something. Fewer are enough for quarters of an hour, as in time
    /// zones.
    pub(super) fn least(self) -> u64 {
        match self {
            Cause::Shift(nanos) if nanos % 900_000_000_000 != 0 => 3,
            Cause::Shift(_) | Cause::Factor(_) | Cause::Null(_) => 2,
            _ => 1,
        }
    }

    /// Returns the name in machine formats.
    pub(super) fn name(self) -> &'static str {
        match self {
            Cause::NullForEmpty(_) => "null_for_empty",
            Cause::Null(_) => "null",
            Cause::Blanks(_) => "blanks",
            Cause::Case => "case",
            Cause::UnicodeForm => "unicode_form",
            Cause::NumberScale => "number_scale",
            Cause::Json => "json_structure",
            Cause::Rounded(..) => "rounded",
            Cause::CutOff(..) => "cut_off",
            Cause::Sign => "sign",
            Cause::Wrapped(_) => "wrapped",
            Cause::Factor(_) => "factor",
            Cause::TimeCutOff(..) => "time_cut_off",
            Cause::TimeRounded(..) => "time_rounded",
            Cause::Shift(_) => "time_shift",
        }
    }

    /// Returns the text for people.
    pub(super) fn describe(self) -> String {
        let places = |places| match places {
            0 => "a whole number".to_owned(),
            1 => "1 decimal place".to_owned(),
            places => format!("{places} decimal places"),
        };
        match self {
            Cause::NullForEmpty(side) => format!("NULL in the {side} for an empty text"),
            Cause::Null(side) => format!("NULL in the {side}"),
            Cause::Blanks(Some(side)) => format!("the {side} has blanks around the value"),
            Cause::Blanks(None) => "only blanks around the value differ".to_owned(),
            Cause::Case => "only the case of letters differs".to_owned(),
            Cause::UnicodeForm => "only the Unicode form differs, as NFC and NFD do".to_owned(),
            Cause::NumberScale => "the same number with another scale".to_owned(),
            Cause::Json => "the same JSON, formatted differently".to_owned(),
            Cause::Rounded(side, n) => format!("the {side} is rounded to {}", places(n)),
            Cause::CutOff(side, n) => format!("the {side} is truncated to {}", places(n)),
            Cause::Sign => "only the sign differs".to_owned(),
            Cause::Wrapped(bits) => {
                format!("2^{bits} apart: the same bits read as signed and as unsigned")
            }
            Cause::Factor(zeros) => {
                let (more, less) = match zeros > 0 {
                    true => (Side::Target, Side::Source),
                    false => (Side::Source, Side::Target),
                };
                format!("the {more} is {} times the {less}", 10_u64.pow(zeros.unsigned_abs()))
            }
            Cause::TimeCutOff(side, unit) => {
                format!("the {side} is truncated to the {}", unit.name())
            }
            Cause::TimeRounded(side, unit) => {
                format!("the {side} is rounded to the {}", unit.name())
            }
            Cause::Shift(nanos) => {
                let word = if nanos > 0 { "later" } else { "earlier" };
                format!("the target is {} {word}", format_nanos(nanos))
            }
        }
    }
}
