//! Why two values of one column differ, as far as the two tell it themselves.

use unicode_normalization::UnicodeNormalization;

use super::moment::{self, Unit, length};
use super::number;
use crate::schema::{BySide, Side};

/// What makes two values differ: but for it they would be the same. A side is the one that has changed
/// the value, as far as that can be told.
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
    /// One number, written with other decimal places; also within JSON.
    NumberScale,
    /// One JSON, written otherwise.
    Json,
    /// Rounded to so many decimal places on this side.
    Rounded(Side, u32),
    /// Cut off behind so many decimal places on this side.
    CutOff(Side, u32),
    /// The sign.
    Sign,
    /// Two to this power apart.
    Wrapped(u32),
    /// The target is ten to this power times the source.
    Factor(i32),
    /// Cut off behind a unit of time on this side.
    TimeCutOff(Side, Unit),
    /// Rounded to a unit of time on this side.
    TimeRounded(Side, Unit),
    /// The target is so many nanoseconds later.
    Shift(i128),
}

/// Longer values are not looked into.
const LONGEST: usize = 1 << 16;

/// Everything that explains why two values differ, the most special first.
pub(super) fn causes(values: &BySide<Option<String>>) -> Vec<Cause> {
    let (source, target) = match (values.source.as_deref(), values.target.as_deref()) {
        (Some(source), Some(target)) => (source, target),
        (None, None) => return Vec::new(),
        (None, Some(other)) => return vec![null(Side::Source, other)],
        (Some(other), None) => return vec![null(Side::Target, other)],
    };
    if source.len().max(target.len()) > LONGEST {
        return Vec::new();
    }
    let mut found = Vec::new();
    match (source.trim(), target.trim()) {
        (one, other) if one != other => {}
        (one, _) if one == target => found.push(Cause::Blanks(Some(Side::Source))),
        (one, _) if one == source => found.push(Cause::Blanks(Some(Side::Target))),
        _ => found.push(Cause::Blanks(None)),
    }
    if source.to_lowercase() == target.to_lowercase() {
        found.push(Cause::Case);
    }
    if !(source.is_ascii() && target.is_ascii()) && source.nfc().eq(target.nfc()) {
        found.push(Cause::UnicodeForm);
    }
    number::causes(source, target, &mut found);
    moment::causes(source, target, &mut found);
    json(source, target, &mut found);
    found
}

fn null(side: Side, other: &str) -> Cause {
    if other.is_empty() { Cause::NullForEmpty(side) } else { Cause::Null(side) }
}

fn json(source: &str, target: &str, found: &mut Vec<Cause>) {
    let read = |text: &str| {
        let structured = text.trim_start().starts_with(['{', '[', '"']);
        structured.then(|| serde_json::from_str::<serde_json::Value>(text).ok()).flatten()
    };
    let (Some(source), Some(target)) = (read(source), read(target)) else { return };
    if source == target {
        found.push(Cause::Json);
    } else if alike(&source, &target) {
        found.push(Cause::NumberScale);
    }
}

/// Whether two JSON values are the same but for the scale of their numbers.
fn alike(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (one, other) {
        (Number(one), Number(other)) => one == other || number::same(one.as_str(), other.as_str()),
        (Array(one), Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Object(one), Object(other)) => {
            let found = |(name, value)| other.get(name).is_some_and(|other| alike(value, other));
            one.len() == other.len() && one.iter().all(found)
        }
        _ => one == other,
    }
}

impl Cause {
    /// The same explanation; of what rounds, whatever the places.
    pub(super) fn is_like(self, other: Cause) -> bool {
        match (self, other) {
            (Cause::Rounded(one, _), Cause::Rounded(other, _))
            | (Cause::CutOff(one, _), Cause::CutOff(other, _)) => one == other,
            _ => self == other,
        }
    }

    /// The explanation that holds of both.
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

    /// How many findings have to fit: two values are always some time apart, and only that it is the
    /// same time again and again says anything. Quarters of an hour are what zones are made of.
    pub(super) fn least(self) -> u64 {
        match self {
            Cause::Shift(nanos) if nanos % 900_000_000_000 != 0 => 3,
            Cause::Shift(_) | Cause::Factor(_) | Cause::Null(_) => 2,
            _ => 1,
        }
    }

    /// The word for programs.
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

    /// The words for people.
    pub(super) fn says(self) -> String {
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
            Cause::NumberScale => "same number, other scale".to_owned(),
            Cause::Json => "the same JSON, written otherwise".to_owned(),
            Cause::Rounded(side, n) => format!("the {side} is rounded to {}", places(n)),
            Cause::CutOff(side, n) => format!("the {side} is cut off to {}", places(n)),
            Cause::Sign => "only the sign differs".to_owned(),
            Cause::Wrapped(bits) => {
                format!("2^{bits} apart, as the same bits read with and without a sign are")
            }
            Cause::Factor(zeros) => {
                let (more, less) = match zeros > 0 {
                    true => (Side::Target, Side::Source),
                    false => (Side::Source, Side::Target),
                };
                format!("the {more} is {} times the {less}", 10_u64.pow(zeros.unsigned_abs()))
            }
            Cause::TimeCutOff(side, unit) => {
                format!("the {side} is cut off behind the {}", unit.name())
            }
            Cause::TimeRounded(side, unit) => {
                format!("the {side} is rounded to the {}", unit.name())
            }
            Cause::Shift(nanos) => {
                let word = if nanos > 0 { "later" } else { "earlier" };
                format!("the target is {} {word}", length(nanos))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str, target: &str) -> Vec<Cause> {
        let text = |text: &str| (text != "NULL").then(|| text.to_owned());
        causes(&BySide { source: text(source), target: text(target) })
    }

    #[test]
    fn texts_tell_why_they_differ() {
        for (source, target, cause) in [
            ("a", "a ", Cause::Blanks(Some(Side::Target))),
            ("\ta", "a", Cause::Blanks(Some(Side::Source))),
            (" a", "a ", Cause::Blanks(None)),
            ("STRASSE Ä", "strasse ä", Cause::Case),
            ("\u{e9}", "e\u{301}", Cause::UnicodeForm),
            ("NULL", "", Cause::NullForEmpty(Side::Source)),
            ("x", "NULL", Cause::Null(Side::Target)),
            ("1", "1.0", Cause::NumberScale),
            (r#"{"a": [1, {"b": 2.50}]}"#, r#"{"a": [1.0, {"b": 2.5}]}"#, Cause::NumberScale),
            (r#"{"a":1,"b":2}"#, r#"{"b": 2, "a": 1}"#, Cause::Json),
            ("\"\\u0061\"", "\"a\"", Cause::Json),
        ] {
            assert_eq!(found(source, target), [cause], "{source} {target}");
        }
    }

    #[test]
    fn what_explains_nothing_is_not_said() {
        for (source, target) in [
            ("a", "b"),
            ("NULL", "NULL"),
            ("[1]", "[2]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            ("{broken", "{ broken"),
        ] {
            assert_eq!(found(source, target), [], "{source} {target}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(found(&long, &format!("{long} ")), []);
        let deep = "[".repeat(10_000);
        assert_eq!(found(&deep, &format!("{deep}[")), []);
    }
}
