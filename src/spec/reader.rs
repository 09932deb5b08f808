//! Walks a TOML table with places, and reports every problem instead of stopping at the first.
//!
//! serde would stop at the first wrong type and could not name two problems at once; the spanned
//! tree of the `toml` crate keeps the place of every key and value.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Placed, Span};
use super::problems::Problems;
use super::{did_you_mean, parse_duration};

/// One table of the file, with the keys that were asked for so far.
pub(super) struct Reader<'t> {
    table: &'t DeTable<'t>,
    /// The header's or the inline table's own place.
    pub(super) span: Span,
    name: &'static str,
    known: Vec<&'static str>,
    problems: &'t Problems,
}

impl<'t> Reader<'t> {
    /// `name` is what messages call the table: `[compare]`.
    pub(super) fn new(
        table: &'t DeTable<'t>,
        span: Span,
        name: &'static str,
        problems: &'t Problems,
    ) -> Reader<'t> {
        Reader { table, span, name, known: Vec::new(), problems }
    }

    pub(super) fn problems(&self) -> &'t Problems {
        self.problems
    }

    /// The raw value of a key, with the key's own place.
    pub(super) fn value(&mut self, key: &'static str) -> Option<(Span, &'t Spanned<DeValue<'t>>)> {
        self.known.push(key);
        let (at, value) = self.table.get_key_value(key)?;
        Some((at.span(), value))
    }

    fn typed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'t DeValue<'t>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let (_, value) = self.value(key)?;
        let span = value.span();
        match read(value.get_ref()) {
            Some(value) => Some(Placed { value, span }),
            None => {
                let found = describe(value.get_ref());
                let message = format!("\"{key}\" must be {expected}, not {found}");
                self.problems.push(Diagnostic::error(&span, message));
                None
            }
        }
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        self.typed(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.typed(key, "true or false", DeValue::as_bool).map(|placed| placed.value)
    }

    /// A whole number of at least `least`.
    pub(super) fn number(&mut self, key: &'static str, least: u64) -> Option<u64> {
        self.number_within(key, least, u64::MAX)
    }

    /// A whole number between two others.
    pub(super) fn number_within(
        &mut self,
        key: &'static str,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        let read = |value: &'t DeValue<'t>| {
            let number = value.as_integer()?;
            i64::from_str_radix(number.as_str(), number.radix()).ok()
        };
        let placed = self.typed(key, "a whole number", read)?;
        let number = u64::try_from(placed.value).ok().filter(|number| *number >= least);
        let wrong = match number {
            None => format!("\"{key}\" must be at least {least}"),
            Some(number) if number > most => format!("\"{key}\" must be at most {most}"),
            Some(_) => return number,
        };
        self.problems.push(Diagnostic::error(&placed.span, wrong));
        None
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.placed_duration(key).map(|placed| placed.value)
    }

    /// A duration that is not zero.
    pub(super) fn time(&mut self, key: &'static str) -> Option<Duration> {
        let placed = self.placed_duration(key)?;
        if placed.value.is_zero() {
            let message = format!("\"{key}\" must be more than zero");
            self.problems.push(Diagnostic::error(&placed.span, message));
            return None;
        }
        Some(placed.value)
    }

    fn placed_duration(&mut self, key: &'static str) -> Option<Placed<Duration>> {
        let Placed { value, span } = self.string(key)?;
        match parse_duration(&value) {
            Ok(value) => Some(Placed { value, span }),
            Err(why) => {
                let message = format!("\"{key}\" is not a duration");
                self.problems.push(Diagnostic::error(&span, message).with_hint(sentence(&why)));
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let placed = self.string(key)?;
        let words = || choices.iter().map(|(word, _)| *word);
        let found = choices.iter().find(|(word, _)| *word == placed.value);
        if found.is_none() {
            let list = words().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            let message = format!("\"{key}\" cannot be \"{}\"", placed.value);
            let hint = match did_you_mean(&placed.value, words()) {
                Some(near) => format!("Did you mean \"{near}\"? It can be {list}."),
                None => format!("It can be {list}."),
            };
            self.problems.push(Diagnostic::error(&placed.span, message).with_hint(hint));
        }
        found.map(|(_, choice)| *choice)
    }

    /// A list of strings.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Placed<Vec<Placed<String>>>> {
        let placed = self.typed(key, "a list of strings", DeValue::as_array)?;
        let mut list = Vec::new();
        for item in placed.value.iter() {
            match item.get_ref().as_str() {
                Some(text) => list.push(Placed { value: text.to_owned(), span: item.span() }),
                None => {
                    let found = describe(item.get_ref());
                    let message = format!("\"{key}\" must hold strings, not {found}");
                    self.problems.push(Diagnostic::error(&item.span(), message));
                }
            }
        }
        Some(Placed { value: list, span: placed.span })
    }

    /// A table below this one.
    pub(super) fn table(&mut self, key: &'static str, name: &'static str) -> Option<Reader<'t>> {
        let (span, _) = self.value(key)?;
        let placed = self.typed(key, "a table", DeValue::as_table)?;
        Some(Reader::new(placed.value, span, name, self.problems))
    }

    /// An array of tables below this one: `[[mapping]]`.
    pub(super) fn tables(&mut self, key: &'static str, name: &'static str) -> Vec<Reader<'t>> {
        let Some(placed) = self.typed(key, "an array of tables", DeValue::as_array) else {
            return Vec::new();
        };
        let mut readers = Vec::new();
        for item in placed.value.iter() {
            match item.get_ref().as_table() {
                Some(table) => readers.push(Reader::new(table, item.span(), name, self.problems)),
                None => {
                    let found = describe(item.get_ref());
                    let message = format!("\"{key}\" must hold tables, not {found}");
                    self.problems.push(Diagnostic::error(&item.span(), message));
                }
            }
        }
        readers
    }

    /// Every key and value in the file's order, for tables whose keys are names of the user's.
    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = (Placed<String>, &'t Spanned<DeValue<'t>>)> + use<'t> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries.into_iter().map(|(key, value)| {
            (Placed { value: key.get_ref().to_string(), span: key.span() }, value)
        })
    }

    /// Reports that a key must be there.
    pub(super) fn missing(&self, key: &str, hint: &str) {
        if !self.problems.has_broken_parts() {
            let message = format!("\"{key}\" is missing in {}", self.name);
            self.problems.push(Diagnostic::error(&self.span, message).with_hint(hint));
        }
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let word = key.get_ref().as_ref();
            if self.known.contains(&word) {
                continue;
            }
            self.problems.push_error(&key.span(), || {
                let message = format!("unknown key \"{word}\" in {}", self.name);
                let hint = match did_you_mean(word, self.known.iter().copied()) {
                    Some(near) => format!("Did you mean \"{near}\"?"),
                    None => format!("Known keys are {}.", self.known.join(", ")),
                };
                Diagnostic::error(&key.span(), message).with_hint(hint)
            });
        }
    }
}

/// What a value is, for messages.
pub(super) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A clause as a sentence.
pub(super) fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}
