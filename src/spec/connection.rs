//! Where each side is: the connection strings and search paths of `[source]` and `[target]`.
//!
//! A connection string may hold a password, so it is never shown: not by `Debug`, not in a message,
//! not in the snippet of a diagnostic.

use std::fmt;

use super::diagnostic::{Diagnostic, Placed};
use super::reader::{Problems, Reader, sentence};
use crate::schema::{SchemaName, Side};

/// A connection string with its variables filled in. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionText(String);

impl ConnectionText {
    /// The text itself, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionText(…)")
    }
}

/// `[source]` or `[target]`.
#[derive(Clone, Debug)]
pub struct SideSettings {
    /// How to connect, with the place of the setting.
    pub url: Placed<ConnectionText>,
    /// Schemas in which names of this side's own SQL resolve; empty for `pg_catalog` alone.
    pub search_path: Vec<SchemaName>,
}

/// A look-up of environment variables.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

pub(super) fn read_side(
    document: &mut Reader<'_>,
    side: Side,
    environment: Environment<'_>,
) -> Option<SideSettings> {
    let (key, name) = match side {
        Side::Source => ("source", "[source]"),
        Side::Target => ("target", "[target]"),
    };
    let Some(mut table) = document.table(key, name) else {
        let hint = format!("Add {name} with url = \"${{{}_URL}}\".", key.to_uppercase());
        document.missing(name, &hint);
        return None;
    };
    let url = table.string("url");
    if url.is_none() {
        table.missing("url", "Write a PostgreSQL URL, a key=value string or \"${VARIABLE}\".");
    }
    let search_path = table.string("search_path");
    let problems = table.problems();
    table.finish();
    let url = url.and_then(|url| {
        warn_of_password(&url, problems);
        expand(&url, environment, problems)
    })?;
    let search_path = search_path
        .and_then(|path| expand(&path, environment, problems))
        .map(|path| read_path(&path, problems))
        .unwrap_or_default();
    let url = Placed { value: ConnectionText(url.value), span: url.span };
    Some(SideSettings { url, search_path })
}

fn read_path(path: &Placed<String>, problems: &Problems) -> Vec<SchemaName> {
    SchemaName::parse_path(&path.value).unwrap_or_else(|why| {
        let message = format!("\"search_path\" cannot be read: {why}");
        let hint = "Write schema names between commas, for example \"public, extensions\".";
        problems.push(Diagnostic::error(&path.span, message).hinted(hint));
        Vec::new()
    })
}

/// Fills in `${VAR}` and `${VAR:-default}`. An empty variable counts as unset, as in a shell's `:-`.
pub(super) fn expand(
    text: &Placed<String>,
    environment: Environment<'_>,
    problems: &Problems,
) -> Option<Placed<String>> {
    let mut expanded = String::new();
    let mut rest = text.value.as_str();
    let mut whole = true;
    while let Some(start) = rest.find("${") {
        expanded.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('}') else {
            let message = "a \"${\" is never closed";
            problems.push(Diagnostic::error(&text.span, message).hinted("Write ${VARIABLE}."));
            return None;
        };
        let inside = &rest[start + 2..start + end];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match environment(name).filter(|value| !value.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => match default {
                Some(default) => expanded.push_str(default),
                None => {
                    let message = format!("the environment variable \"{name}\" is not set");
                    let hint = format!("Set {name}, or write ${{{name}:-default}}.");
                    problems.push(Diagnostic::error(&text.span, message).hinted(hint));
                    whole = false;
                }
            },
        }
        rest = &rest[start + end + 1..];
    }
    expanded.push_str(rest);
    whole.then(|| Placed { value: expanded, span: text.span.clone() })
}

fn warn_of_password(url: &Placed<String>, problems: &Problems) {
    let literal = password_places(&url.value)
        .into_iter()
        .any(|place| !url.value[place].trim_matches(['\'', '"']).starts_with("${"));
    if literal {
        let why =
            "name a variable as ${VAR}, or use a password file (PGPASSFILE) or a service file";
        problems.push(
            Diagnostic::warning(&url.span, "a password stands in the spec").hinted(sentence(why)),
        );
    }
}

/// Where passwords stand in a text: `://user:HERE@` and `password=HERE`. Rather too much than too little:
/// a password may hold "/", "?" and "@", so it lasts to the line's last "@".
fn password_places(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut places = Vec::new();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        if let Some((scheme, rest)) = line.split_once("://")
            && let Some(host) = rest.rfind('@')
            && let Some(colon) = rest[..host].find(':')
        {
            let start = line_start + scheme.len() + 3;
            places.push(start + colon + 1..start + host);
        }
        line_start += line.len();
    }
    // Where the last value without quotes ends, outside a URL and in one: what stands within it is
    // seen to, and reading it again and again would take a long line's length squared.
    let mut seen = [0, 0];
    for (equals, _) in text.match_indices('=') {
        let before = text[..equals].trim_end_matches(' ');
        let at = before.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '_').len();
        if !means_a_password(&before[at..]) {
            continue;
        }
        let value = text[equals + 1..].trim_start_matches(' ');
        let start = text.len() - value.len();
        let in_url = text[..at].ends_with(['?', '&']);
        let seen = &mut seen[usize::from(in_url)];
        let quoted = value.starts_with('\'');
        if !quoted && start < *seen {
            continue;
        }
        let end = start + value_length(value, in_url);
        if !quoted {
            *seen = end;
        }
        places.push(start..end);
    }
    places.retain(|place| !place.is_empty());
    places
}

/// Whether a keyword names a password, well spelt or not.
fn means_a_password(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let spelt = word.starts_with('p') && word.contains('w');
    (word.contains("pass") && word != "passfile") || spelt || word.contains("secret")
}

/// To the closing quote or to a blank; a backslash keeps the next character.
fn value_length(value: &str, in_url: bool) -> usize {
    let quoted = value.starts_with('\'');
    let mut chars = value.char_indices().skip(usize::from(quoted)).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => return at,
            '\\' => drop(chars.next_if(|(_, c)| *c != '\n')),
            '\'' if quoted => return at + 1,
            ' ' | '"' | '\u{1b}' if !quoted => return at,
            '&' if in_url => return at,
            _ => {}
        }
    }
    value.len()
}

/// The same text, byte for byte as long, with every password in it made unreadable.
pub fn mask_passwords(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for place in password_places(text) {
        bytes[place].fill(b'*');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> (Option<String>, Vec<Diagnostic>) {
        let problems = Problems::default();
        let environment = |name: &str| match name {
            "A" => Some("x".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let placed = Placed { value: text.to_owned(), span: 0..0 };
        let value = expand(&placed, &environment, &problems).map(|placed| placed.value);
        (value, problems.into_list())
    }

    #[test]
    fn variables_are_filled_in_with_their_defaults() {
        assert_eq!(expanded("${A}/${B:-y}/${EMPTY:-z}").0.as_deref(), Some("x/y/z"));
        assert_eq!(expanded("no $variable").0.as_deref(), Some("no $variable"));
    }

    #[test]
    fn every_unset_variable_is_named() {
        let (value, problems) = expanded("${B}${A}${C}");
        assert_eq!(value, None);
        let messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert!(messages[0].contains("\"B\"") && messages[1].contains("\"C\""), "{messages:?}");
    }

    #[test]
    fn passwords_are_masked_in_both_forms() {
        for (text, masked) in [
            ("postgres://u:p@ss@h/d", "postgres://u:****@h/d"),
            ("postgres://u@h/d?password=pw&x=1", "postgres://u@h/d?password=**&x=1"),
            ("host=h password=pw user=u", "host=h password=** user=u"),
            ("postgres://u@h/d?pasword=pw&x=1", "postgres://u@h/d?pasword=**&x=1"),
            ("host=h PASSWD = pw passfile=/p", "host=h PASSWD = ** passfile=/p"),
            ("host=h password = 'p w' user=u", "host=h password = ***** user=u"),
            (r"password='p\'w x' user=u", "password=******** user=u"),
            ("password=p'w&x user=u", "password=***** user=u"),
            ("postgres://u:p/w?x#@h/d", "postgres://u:******@h/d"),
            ("postgres://u:p@w/x@h/d\n@", "postgres://u:*****@h/d\n@"),
            ("postgres://u@h:5432/d", "postgres://u@h:5432/d"),
            ("password=apassword=b c", "password=*********** c"),
            ("?password=apassword=b&c d", "?password=************* d"),
            ("password=a'password='b c' d", "password=**************** d"),
            ("x://y\nx://u:p@h\nz:a@b", "x://y\nx://u:*@h\nz:a@b"),
        ] {
            assert_eq!(mask_passwords(text), masked);
        }
    }

    #[test]
    fn a_literal_password_is_warned_of_and_a_variable_is_not() {
        let warned = |text: &str| {
            let problems = Problems::default();
            warn_of_password(&Placed { value: text.to_owned(), span: 0..0 }, &problems);
            !problems.into_list().is_empty()
        };
        assert!(warned("postgres://u:pw@h/d") && warned("host=h password=pw"));
        assert!(!warned("postgres://u:${PW}@h/d") && !warned("host=h password=${PW}"));
        assert!(!warned("postgres://u@h/d") && !warned("${URL}"));
    }
}
