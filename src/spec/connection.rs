//! Where each side is: the connection strings and search paths of `[source]` and `[target]`.
//!
//! A connection string may hold a password, so it is never shown: not by `Debug`, not in a message,
//! not in the snippet of a diagnostic.

use std::fmt;

use super::diagnostic::{Diagnostic, Placed};
use super::passwords::{is_variable, password_places};
use super::problems::Problems;
use super::reader::{Reader, sentence};
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
        problems.push(Diagnostic::error(&path.span, message).with_hint(hint));
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
            problems.push(Diagnostic::error(&text.span, message).with_hint("Write ${VARIABLE}."));
            return None;
        };
        let inside = &rest[start + 2..start + end];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable(name) {
            let message = "what stands in \"${…}\" cannot name an environment variable";
            let hint = "Write ${VARIABLE}, or ${VARIABLE:-default}.";
            problems.push(Diagnostic::error(&text.span, message).with_hint(hint));
            return None;
        }
        match environment(name).filter(|value| !value.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => match default {
                Some(default) => expanded.push_str(default),
                None => {
                    let message = format!("the environment variable \"{name}\" is not set");
                    let hint = format!("Set {name}, or write ${{{name}:-default}}.");
                    problems.push(Diagnostic::error(&text.span, message).with_hint(hint));
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
    // The colon of a default parts nothing of the URL.
    let mut within = false;
    let mut before = ' ';
    let plain = |c: char| {
        within = (within || (before, c) == ('$', '{')) && c != '}';
        before = c;
        if within && c == ':' { '-' } else { c }
    };
    let text: String = url.value.chars().map(plain).collect();
    let literal = password_places(&text)
        .into_iter()
        .any(|place| !text[place].trim_matches(['\'', '"']).starts_with("${"));
    if literal {
        let why =
            "name a variable as ${VAR}, or use a password file (PGPASSFILE) or a service file";
        problems.push(
            Diagnostic::warning(&url.span, "a password stands in the spec")
                .with_hint(sentence(why)),
        );
    }
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
        (value, problems.into_found().first)
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
    fn a_literal_password_is_warned_of_and_a_variable_is_not() {
        let warned = |text: &str| {
            let problems = Problems::default();
            warn_of_password(&Placed { value: text.to_owned(), span: 0..0 }, &problems);
            !problems.into_found().first.is_empty()
        };
        assert!(warned("postgres://u:pw@h/d") && warned("host=h password=pw"));
        assert!(!warned("postgres://u:${PW}@h/d") && !warned("host=h password=${PW}"));
        assert!(!warned("postgres://u@h/d") && !warned("${URL}"));
        assert!(!warned("postgres://${U:-u}@h/d") && warned("postgres://u:-pw@h/d"));
    }
}
