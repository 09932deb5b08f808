//! `[params]`: values that are set per run and used as `:name` in the operator's SQL.
//!
//! A parameter without a default must be given, so that a forgotten one in a crontab is an error
//! and never a comparison of nothing that calls itself clean.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Placed, Span};
use super::did_you_mean;
use super::fragment::Fragment;
use super::problems::Problems;
use super::reader::{Reader, describe};

/// A declared parameter with its value for this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its SQL type, as the spec writes it.
    pub type_name: String,
    /// Its value, as PostgreSQL's text input reads it.
    pub value: String,
    /// Where it is declared.
    pub span: Span,
}

/// The names that are declared, and the parameters without a problem of their own.
pub(super) fn read_params(
    document: &mut Reader<'_>,
    given: &BTreeMap<String, String>,
) -> (BTreeSet<String>, Vec<Param>) {
    let Some(table) = document.table("params", "[params]") else { return Default::default() };
    let problems = table.problems();
    let declared = table.entries().map(|(name, _)| name.value).collect();
    let params = table
        .entries()
        .filter_map(|(name, value)| read_param(&name, value, given, problems))
        .collect();
    (declared, params)
}

fn read_param(
    name: &Placed<String>,
    value: &toml::Spanned<DeValue<'_>>,
    given: &BTreeMap<String, String>,
    problems: &Problems,
) -> Option<Param> {
    let is_name = name.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        let message = format!("\"{}\" cannot name a parameter", name.value);
        let hint = "Use letters, digits and underscores: it is written as :name.";
        problems.push(Diagnostic::error(&name.span, message).with_hint(hint));
        return None;
    }
    let Some(table) = value.get_ref().as_table() else {
        let message = format!(
            "parameter \"{}\" must be a table, not {}",
            name.value,
            describe(value.get_ref())
        );
        let hint = format!("Write {} = {{ type = \"int8\" }}.", name.value);
        problems.push(Diagnostic::error(&value.span(), message).with_hint(hint));
        return None;
    };
    let mut table = Reader::new(table, value.span(), "a parameter", problems);
    let type_name = table.string("type");
    if type_name.is_none() {
        table.missing("type", "Name the SQL type, for example type = \"int8[]\".");
    }
    let default = table.value("default").and_then(|(_, value)| text_of(value, problems));
    table.finish();
    let type_name = type_name.filter(|name| check_type_name(name, problems))?.value;
    let Some(value) = given.get(&name.value).cloned().or(default) else {
        let message = format!("parameter \"{}\" has no value", name.value);
        let hint =
            format!("Give --param {}=VALUE, or a default if every run may use one.", name.value);
        problems.push(Diagnostic::error(&name.span, message).with_hint(hint));
        return None;
    };
    Some(Param { name: name.value.clone(), type_name, value, span: name.span.clone() })
}

/// A type name is written into SQL, so it may only be made of what type names are made of.
fn check_type_name(name: &Placed<String>, problems: &Problems) -> bool {
    let harmless = |c: char| c.is_ascii_alphanumeric() || " _.,()[]\"".contains(c);
    let quotes = name.value.matches('"').count();
    let fits = !name.value.trim().is_empty()
        && name.value.chars().all(harmless)
        && quotes.is_multiple_of(2);
    if !fits {
        let message = format!("\"{}\" is not a type name", name.value);
        let hint =
            "Write it as in a column definition, for example \"int8[]\" or \"numeric(10,2)\".";
        problems.push(Diagnostic::error(&name.span, message).with_hint(hint));
    }
    fits
}

fn text_of(value: &toml::Spanned<DeValue<'_>>, problems: &Problems) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        other => {
            let message = format!("\"default\" cannot be {}", describe(other));
            let hint = "Write the value as PostgreSQL reads it, for example \"{1,2}\".";
            problems.push(Diagnostic::error(&value.span(), message).with_hint(hint));
            None
        }
    }
}

/// Reports every `:name` of a fragment that is not declared.
fn check_params<'f>(
    used: impl Iterator<Item = &'f str>,
    span: &Span,
    declared: &BTreeSet<String>,
    problems: &Problems,
) {
    for name in used.filter(|name| !declared.contains(*name)) {
        problems.push_error(span, || {
            let message = format!("parameter \"{name}\" is not declared");
            let hint = match did_you_mean(name, declared.iter().map(String::as_str)) {
                Some(near) => format!("Did you mean \":{near}\"?"),
                None => format!(
                    "Add {name} = {{ type = \"…\" }} to [params]; an array slice is written [1: {name}]."
                ),
            };
            Diagnostic::error(span, message).with_hint(hint)
        });
    }
}

/// A piece of the operator's own SQL, in which every parameter is declared.
pub(super) fn read_fragment(
    text: &Placed<String>,
    key: &str,
    params: &BTreeSet<String>,
    problems: &Problems,
) -> Option<Fragment> {
    if text.value.contains("${") {
        let message = format!("environment variables are not filled in in \"{key}\"");
        let hint = "Declare a parameter in [params] and write :name.";
        problems.push(Diagnostic::error(&text.span, message).with_hint(hint));
        return None;
    }
    match Fragment::read(text) {
        Ok(fragment) => {
            check_params(fragment.params(), fragment.span(), params, problems);
            Some(fragment)
        }
        Err(why) => {
            let message = format!("\"{key}\" cannot stand between brackets: {why}");
            let hint = "It is put between brackets of ours; quotes, brackets and comments must close \
                        within it, and a final \";\" is left out.";
            problems.push(Diagnostic::error(&text.span, message).with_hint(hint));
            None
        }
    }
}
