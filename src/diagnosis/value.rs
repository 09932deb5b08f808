//! Causes of a difference between two values of one column, as far as the two values show them.

use unicode_normalization::UnicodeNormalization;

use super::cause::Cause;
use super::{number, time};
use crate::schema::{BySide, Side};

/// The most bytes of a value that is examined.
const MAX_BYTES: usize = 1 << 16;

/// Returns all causes of a difference between two values, the most specific first.
pub(super) fn find_causes(values: &BySide<Option<String>>) -> Vec<Cause> {
    let (source, target) = match (values.source.as_deref(), values.target.as_deref()) {
        (Some(source), Some(target)) => (source, target),
        (None, None) => return Vec::new(),
        (None, Some(other)) => return vec![null_cause(Side::Source, other)],
        (Some(other), None) => return vec![null_cause(Side::Target, other)],
    };
    if source.len().max(target.len()) > MAX_BYTES {
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
    number::add_causes(source, target, &mut found);
    time::add_causes(source, target, &mut found);
    add_json_cause(source, target, &mut found);
    found
}

fn null_cause(side: Side, other: &str) -> Cause {
    if other.is_empty() { Cause::NullForEmpty(side) } else { Cause::Null(side) }
}

fn add_json_cause(source: &str, target: &str, found: &mut Vec<Cause>) {
    let read = |text: &str| {
        let structured = text.trim_start().starts_with(['{', '[', '"']);
        structured.then(|| serde_json::from_str::<serde_json::Value>(text).ok()).flatten()
    };
    let (Some(source), Some(target)) = (read(source), read(target)) else { return };
    if source == target {
        found.push(Cause::Json);
    } else if is_alike(&source, &target) {
        found.push(Cause::NumberScale);
    }
}

/// Returns whether two JSON values differ only in the scale of their numbers.
fn is_alike(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (one, other) {
        (Number(one), Number(other)) => {
            one == other || number::is_same(one.as_str(), other.as_str())
        }
        (Array(one), Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_alike(one, other))
        }
        (Object(one), Object(other)) => {
            let found = |(name, value)| other.get(name).is_some_and(|other| is_alike(value, other));
            one.len() == other.len() && one.iter().all(found)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str, target: &str) -> Vec<Cause> {
        let text = |text: &str| (text != "NULL").then(|| text.to_owned());
        find_causes(&BySide { source: text(source), target: text(target) })
    }

    #[test]
    fn texts_show_why_they_differ() {
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
    fn unrelated_values_have_no_cause() {
        for (source, target) in [
            ("a", "b"),
            ("NULL", "NULL"),
            ("[1]", "[2]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            ("{broken", "{ broken"),
        ] {
            assert_eq!(found(source, target), [], "{source} {target}");
        }
        let long = "x".repeat(MAX_BYTES + 1);
        assert_eq!(found(&long, &format!("{long} ")), []);
        let deep = "[".repeat(10_000);
        assert_eq!(found(&deep, &format!("{deep}[")), []);
    }
}
