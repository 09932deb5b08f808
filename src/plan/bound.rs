//! The check of stored keys: their bytes, which statements compare, and their text must be of one value.
//! A checkpoint with a key that fails was not written by this program for this mapping.

use super::form::CanonicalForm;
use super::mapping::MappingPlan;
use super::pair::Pair;
use crate::row::{Bound, KeyRange};
use crate::schema::Builtin;

impl MappingPlan {
    /// Returns whether both ends of a range are keys of this mapping whose bytes and text agree, as far as
    /// that is known without a server.
    pub fn fits(&self, range: &KeyRange) -> bool {
        let fits = |bound: &Bound| {
            let pairs = self.key();
            bound.key.fields().count() == pairs.len()
                && bound.text.len() == pairs.len()
                && pairs
                    .iter()
                    .zip(bound.key.fields().zip(bound.text.iter()))
                    .all(|(pair, (field, text))| agrees(pair, field, text))
        };
        [&range.after, &range.through].into_iter().flatten().all(fits)
    }
}

/// Returns whether a field of a key and its text may be of one value. A redacted text, and one in a form
/// that is not known here, is protected by its checksum only.
fn agrees(pair: &Pair, field: &[u8], text: &str) -> bool {
    if pair.settings.redact {
        return true;
    }
    match pair.form {
        CanonicalForm::As(Builtin::Int2) => {
            is_number(text, field.try_into().map(i16::from_be_bytes))
        }
        CanonicalForm::As(Builtin::Int4) => {
            is_number(text, field.try_into().map(i32::from_be_bytes))
        }
        CanonicalForm::As(Builtin::Int8) => {
            is_number(text, field.try_into().map(i64::from_be_bytes))
        }
        CanonicalForm::As(Builtin::Uuid) => {
            let digits: String = text.chars().filter(|digit| *digit != '-').collect();
            field.len() == 16
                && u128::from_str_radix(&digits, 16)
                    .map_or(true, |number| number.to_be_bytes() == field)
        }
        // `char(n)` may be padded in one of the forms.
        CanonicalForm::Text => trim_padding(text.as_bytes()) == trim_padding(field),
        _ => true,
    }
}

/// Returns a text without the blanks at its end.
fn trim_padding(text: &[u8]) -> &[u8] {
    let length = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    &text[..length]
}

/// Returns whether a text is this number, if it is one.
fn is_number<N: Into<i64>, E>(text: &str, number: Result<N, E>) -> bool {
    number.is_ok_and(|number| text.parse().map_or(true, |text: i64| text == number.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::row::Key;

    fn fits(builtin: Builtin, field: &[u8], text: &str) -> bool {
        let plan = sample::same(&[("id", builtin, true)], &["id"]);
        let bound = Bound { key: Key::new([field]), text: [text.to_owned()].into() };
        plan.fits(&KeyRange { after: None, through: Some(bound) })
    }

    #[test]
    fn a_key_and_its_text_must_be_of_one_value() {
        for (builtin, field, text, other) in [
            (Builtin::Int2, &(-5_i16).to_be_bytes()[..], "-5", "-4"),
            (Builtin::Int4, &70_000_i32.to_be_bytes(), "70000", "70001"),
            (Builtin::Int8, &i64::MIN.to_be_bytes(), "-9223372036854775808", "0"),
            (Builtin::Text, "käse".as_bytes(), "käse", "kase"),
            (Builtin::Text, b"line\n", "line\n  ", "line"),
            (
                Builtin::Uuid,
                &[0x11; 16],
                "11111111-1111-1111-1111-111111111111",
                "11111111-1111-1111-1111-111111111112",
            ),
        ] {
            assert!(fits(builtin, field, text), "{builtin:?}");
            assert!(!fits(builtin, field, other), "{builtin:?}");
        }
        assert!(!fits(Builtin::Int4, &[0, 0, 1], "1"), "three bytes are no int4");
        // Only a server can evaluate this.
        assert!(fits(Builtin::Date, &[0; 4], "2000-01-01"));
    }

    #[test]
    fn a_key_has_as_many_fields_as_the_mapping() {
        let plan =
            sample::same(&[("a", Builtin::Int4, true), ("b", Builtin::Int4, true)], &["a", "b"]);
        let field = 1_i32.to_be_bytes();
        let fits = |fields: usize, texts: usize| {
            let key = Key::new(std::iter::repeat_n(&field[..], fields));
            let text = std::iter::repeat_n("1".to_owned(), texts).collect();
            plan.fits(&KeyRange { after: Some(Bound { key, text }), through: None })
        };
        assert!(fits(2, 2));
        assert!(!fits(1, 2) && !fits(2, 1) && !fits(3, 3));
    }
}
