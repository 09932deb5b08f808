//! Keys, groups and single values for people.
//!
//! Names and values come from the databases, so what could drive a terminal is escaped.

use crate::finding::NamedValues;
use crate::spec::printable;

/// The most characters of a group's value in a table's cell.
const MAX_GROUP_CHARS: usize = 24;

/// Formats a key: `id=1, part=2`.
pub fn format_key(key: &NamedValues<String>) -> String {
    let field = |(name, value): &(String, String)| {
        format!("{}={}", escape_to_one_line(name), escape_to_one_line(value))
    };
    key.0.iter().map(field).collect::<Vec<_>>().join(", ")
}

/// Formats a group's value, cut to fit a table's cell.
pub fn format_group(group: Option<&str>) -> String {
    let Some(text) = group else { return "NULL".to_owned() };
    let text = escape_to_one_line(text);
    match text.char_indices().nth(MAX_GROUP_CHARS).and_then(|(at, _)| text.get(..at)) {
        Some(start) => format!("{start}…"),
        None => text,
    }
}

/// Escapes a name or a value, line breaks included: one within a value must not look like a line of
/// the report.
pub fn escape_to_one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}
