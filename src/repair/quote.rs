//! Values and names in the form in which a script may contain them.
//!
//! A value appears as a quoted literal or in COPY's text format, never in a comment. A name appears in
//! double quotes, or %-escaped where people read it.

use crate::schema::TableName;

/// Quotes a value as a literal that does not depend on `standard_conforming_strings`.
pub(super) fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// Quotes a value, or writes NULL.
pub(super) fn quote_nullable(value: Option<&str>) -> String {
    value.map_or_else(|| "NULL".to_owned(), quote_literal)
}

/// Appends a field in COPY's text format.
pub(super) fn push_copy_field(line: &mut String, value: Option<&str>) {
    let Some(mut rest) = value else { return line.push_str("\\N") };
    let special = ['\\', '\n', '\r', '\t', '\u{8}', '\u{b}', '\u{c}'];
    while let Some((before, after)) = rest.split_once(special) {
        line.push_str(before);
        line.push_str(match rest.as_bytes().get(before.len()) {
            Some(b'\\') => "\\\\",
            Some(b'\n') => "\\n",
            Some(b'\r') => "\\r",
            Some(b'\t') => "\\t",
            Some(8) => "\\b",
            Some(11) => "\\v",
            _ => "\\f",
        });
        rest = after;
    }
    line.push_str(rest);
}

/// Writes texts as an array in PostgreSQL's text format.
pub(super) fn format_array<'v>(values: impl Iterator<Item = Option<&'v str>>) -> String {
    let elements = values.map(|value| match value {
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        None => "NULL".to_owned(),
    });
    format!("{{{}}}", elements.collect::<Vec<_>>().join(","))
}

/// Escapes a name for people to read: one line without characters that have a meaning in a comment, in
/// psql or in a shell.
pub(super) fn escape_name(text: &str) -> String {
    escaped(text, "_-.")
}

/// Escapes a table's name for people to read.
pub(super) fn escape_table(table: &TableName) -> String {
    format!("{}.{}", escape_name(&table.schema.0), escape_name(&table.name))
}

/// Escapes a mapping's name as part of a file's name.
pub fn escape_file_stem(name: &str) -> String {
    // A file's name has at most 255 bytes. The number before the stem keeps shortened ones distinct.
    let stem = escaped(name, "_-");
    match stem.char_indices().nth(150).and_then(|(at, _)| stem.get(..at)) {
        Some(begins) => format!("{begins}~"),
        None => stem,
    }
}

fn escaped(text: &str, others: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || others.contains(char::from(byte)) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Writes a DO block of PL/pgSQL between dollar quotes that the body does not contain. Line ends behind
/// the body are dropped.
pub(super) fn do_block(body: &str) -> String {
    let body = body.trim_end_matches('\n');
    let tag = (0..).map(|n| if n == 0 { "$pgr$".to_owned() } else { format!("$pgr{n}$") });
    let tag = tag.into_iter().find(|tag| !body.contains(tag.as_str())).unwrap_or_default();
    format!("DO {tag}\n{body}\n{tag};\n")
}

#[cfg(test)]
pub(crate) const HOSTILE: [&str; 36] = [
    "",
    " ",
    "'",
    "''",
    "\\",
    "\\\\",
    "\\'",
    "'; drop table victim; --",
    "1; commit; drop table public.victim; --",
    "\\.",
    "\n\\.\n",
    "\\N",
    "NULL",
    "\\! touch /tmp/pgr",
    "\\q",
    ":var",
    ":'var'",
    ":\"var\"",
    "$$",
    "$pgr$",
    "$pgr$; drop table victim; $pgr$",
    "%",
    "%s %I %%",
    "two\nlines",
    "two\r\nlines",
    "\r",
    "tab\there",
    "\u{8}\u{b}\u{c}\u{1}\u{1b}[31m",
    "-- comment",
    "/* comment",
    "\"quoted\"",
    "\u{2028}\u{2029}",
    "\u{feff}bom",
    "\u{1f680}\u{202e}",
    "`id`",
    "E'\\x41'",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a literal as the server does.
    fn read(literal: &str) -> String {
        let (escapes, body) = match literal.strip_prefix('E') {
            Some(rest) => (true, rest),
            None => (false, literal),
        };
        let body = body.strip_prefix('\'').and_then(|body| body.strip_suffix('\'')).unwrap();
        let mut chars = body.chars();
        let mut text = String::new();
        while let Some(c) = chars.next() {
            match c {
                '\'' => assert_eq!(chars.next(), Some('\''), "it ends early: {literal}"),
                '\\' => {
                    // Without E the meaning of a backslash depends on a setting.
                    assert!(escapes, "{literal}");
                    assert_eq!(chars.next(), Some('\\'));
                }
                _ => {}
            }
            text.push(c);
        }
        text
    }

    fn uncopied(field: &str) -> Option<String> {
        assert!(!field.contains(['\n', '\r', '\t']));
        if field == "\\N" {
            return None;
        }
        let mut chars = field.chars();
        let mut text = String::new();
        while let Some(c) = chars.next() {
            text.push(match c {
                '\\' => match chars.next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'b' => '\u{8}',
                    'v' => '\u{b}',
                    'f' => '\u{c}',
                    other => other,
                },
                c => c,
            });
        }
        Some(text)
    }

    fn copied(value: Option<&str>) -> String {
        let mut line = String::new();
        push_copy_field(&mut line, value);
        line
    }

    #[test]
    fn an_array_has_distinct_elements() {
        let values = [Some("a"), None, Some("NULL"), Some(""), Some("a\"b\\c{,}")];
        assert_eq!(format_array(values.into_iter()), r#"{"a",NULL,"NULL","","a\"b\\c{,}"}"#);
        assert_eq!(format_array(std::iter::empty()), "{}");
    }

    #[test]
    fn hostile_values_are_read_back_unchanged() {
        for value in HOSTILE {
            assert_eq!(read(&quote_literal(value)), value);
            assert_eq!(uncopied(&copied(Some(value))).as_deref(), Some(value));
            assert!(
                escape_name(value).is_ascii() && !escape_name(value).contains(char::is_whitespace)
            );
        }
        assert_eq!((quote_nullable(None), copied(None)), ("NULL".into(), "\\N".into()));
    }

    #[test]
    fn the_dollar_quotes_of_a_block_are_not_in_its_body() {
        let body = "x $pgr$ y $pgr1$ z";
        assert_eq!(do_block(body), format!("DO $pgr2$\n{body}\n$pgr2$;\n"));
    }

    #[test]
    fn the_name_of_a_file_cannot_leave_its_folder() {
        assert_eq!(escape_file_stem("../a b/ü"), "%2E%2E%2Fa%20b%2F%C3%BC");
        assert!(escape_file_stem(&"/".repeat(200)).len() < 160);
    }

    proptest! {
        #[test]
        fn every_value_is_read_back_unchanged(value in "\\PC*[\\\\'\n\r\t\u{8}\u{b}\u{c}$:.N]*\\PC*") {
            prop_assert_eq!(read(&quote_literal(&value)), value.clone());
            prop_assert_eq!(uncopied(&copied(Some(&value))), Some(value));
        }
    }
}
