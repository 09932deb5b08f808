//! The whole file: sides, parameters, settings and mappings.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::compare::{CompareSettings, read_compare};
use super::connection::{Environment, SideSettings, read_side};
use super::diagnostic::{Diagnostic, Placed, Span, SpecText};
use super::gate::{GateSettings, read_gate};
use super::mapping::{Mapping, read_mapping};
use super::pace::{PaceSettings, read_pace};
use super::params::{Param, read_params};
use super::reader::{Problems, Reader, sentence};
use crate::row::seal;
use crate::schema::{BySide, Side};

/// A spec that can be planned.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// What it is about.
    pub description: Option<String>,
    /// Where the sides are.
    pub sides: BySide<SideSettings>,
    /// Parameters with their values for this run.
    pub params: Vec<Param>,
    /// How to compare.
    pub compare: CompareSettings,
    /// What the servers must not be pushed beyond.
    pub pace: PaceSettings,
    /// What must hold before reads are flipped.
    pub gate: GateSettings,
    /// The mappings, in the file's order.
    pub mappings: Vec<Mapping>,
    /// The blake3 of the file.
    pub hash: String,
    /// The file itself, to show problems in place.
    pub text: SpecText,
    /// What is worth knowing.
    pub warnings: Vec<Diagnostic>,
}

impl Spec {
    /// Identifies what a run was asked: the file and its parameters. Only runs of one scope can be
    /// held against each other.
    pub fn scope(&self) -> String {
        let values =
            self.params.iter().flat_map(|param| [param.name.as_bytes(), param.value.as_bytes()]);
        let parts: Vec<&[u8]> = std::iter::once(self.hash.as_bytes()).chain(values).collect();
        seal(&parts)
    }
}

/// Reads a spec. `given` holds the parameters of the command line.
///
/// # Errors
/// Every problem in the file, in the order of their places.
pub fn read(
    text: SpecText,
    given: &BTreeMap<String, String>,
    environment: Environment<'_>,
) -> Result<Spec, Vec<Diagnostic>> {
    // A byte order mark is legal in TOML; spans count from after it, so it is left out of the text.
    let text = match text.text.strip_prefix('\u{feff}') {
        Some(rest) => SpecText { text: rest.to_owned(), ..text },
        None => text,
    };
    let (table, problems) = parse(&text.text);
    let document = Reader::new(table.get_ref(), 0..0, "the spec", &problems);
    let folder = text.path.parent().unwrap_or(Path::new(""));
    let parts = read_document(document, folder, given, environment);
    let list = problems.into_list();
    match parts {
        Some(parts) if !list.iter().any(Diagnostic::is_error) => {
            let hash = seal(&[text.text.as_bytes()]);
            Ok(Spec {
                name: parts.name.value,
                name_span: parts.name.span,
                description: parts.description,
                sides: parts.sides,
                params: parts.params,
                compare: parts.compare,
                pace: parts.pace,
                gate: parts.gate,
                mappings: parts.mappings,
                hash,
                text,
                warnings: list,
            })
        }
        _ => Err(list),
    }
}

struct Parts {
    name: Placed<String>,
    description: Option<String>,
    sides: BySide<SideSettings>,
    params: Vec<Param>,
    compare: CompareSettings,
    pace: PaceSettings,
    gate: GateSettings,
    mappings: Vec<Mapping>,
}

/// The name that a file gives its spec; parameters and connections need not be there.
///
/// # Errors
/// What is wrong with the syntax, the version or the name.
pub fn read_name_of(text: &SpecText) -> Result<String, Vec<Diagnostic>> {
    let (table, problems) = parse(&text.text);
    let mut document = Reader::new(table.get_ref(), 0..0, "the spec", &problems);
    read_version(&mut document);
    let name = read_name(&mut document);
    let list = problems.into_list();
    match name {
        Some(name) if !list.iter().any(Diagnostic::is_error) => Ok(name.value),
        _ => Err(list),
    }
}

/// A larger file is told its first syntax error only: each takes the parser some hundred bytes, and a
/// file that is no spec at all has one in every line.
const LARGE: usize = 1 << 16;
/// Syntax errors that are told; nobody mends more of them before looking again.
const MOST_SYNTAX_ERRORS: usize = 100;

/// The table of a file, as far as it is TOML, and what in it is not.
fn parse(text: &str) -> (Spanned<DeTable<'_>>, Problems) {
    let (table, syntax) = match DeTable::parse(text) {
        Ok(table) => (table, Vec::new()),
        Err(first) if text.len() > LARGE => (Spanned::new(0..0, DeTable::new()), vec![first]),
        Err(_) => DeTable::parse_recoverable(text),
    };
    let problem = |error: &toml::de::Error| {
        let message = format!("the file is not TOML: {}", error.message());
        Diagnostic::error(&error.span().unwrap_or(0..0), message)
            .hinted(sentence("see https://toml.io for the syntax"))
    };
    let broken = syntax.iter().filter_map(toml::de::Error::span).collect();
    let told = syntax.iter().take(MOST_SYNTAX_ERRORS).map(problem).collect();
    (table, Problems::of_file(told, broken))
}

fn read_document(
    mut document: Reader<'_>,
    folder: &Path,
    given: &BTreeMap<String, String>,
    environment: Environment<'_>,
) -> Option<Parts> {
    let problems = document.problems();
    read_version(&mut document);
    let name = read_name(&mut document);
    let description = document.string("description").map(|placed| placed.value);
    let source = read_side(&mut document, Side::Source, environment);
    let target = read_side(&mut document, Side::Target, environment);
    let (declared, params) = read_params(&mut document, given);
    let compare = read_compare(&mut document);
    let pace = read_pace(&mut document, folder, environment);
    let gate = read_gate(&mut document);
    let tables = document.tables("mapping", "[[mapping]]");
    if tables.is_empty() {
        document.missing("[[mapping]]", "Add a mapping: which table answers to which.");
    }
    let mappings: Vec<Mapping> =
        tables.into_iter().filter_map(|table| read_mapping(table, &compare, &declared)).collect();
    check_names(&mappings, problems);
    document.finish();
    let sides = BySide { source: source?, target: target? };
    Some(Parts { name: name?, description, sides, params, compare, pace, gate, mappings })
}

fn read_version(document: &mut Reader<'_>) {
    match document.number("version", 1) {
        Some(1) => {}
        Some(version) => {
            let span = document.value("version").map_or(0..0, |(_, value)| value.span());
            let message = format!("this program does not read version {version} of the format");
            let hint = "It reads version 1; a newer pgreconcile may read this file.";
            document.problems().push(Diagnostic::error(&span, message).hinted(hint));
        }
        None if document.value("version").is_none() => {
            document.missing("version", "Write version = 1 at the top.");
        }
        None => {}
    }
}

/// The spec's name goes into file names and `application_name`.
fn read_name(document: &mut Reader<'_>) -> Option<Placed<String>> {
    let Some(name) = document.string("name") else {
        document.missing("name", "Name the service, for example name = \"tracking\".");
        return None;
    };
    let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let fits = (1..=48).contains(&name.value.len())
        && name.value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.value.chars().all(word);
    if !fits {
        let message = format!("\"{}\" cannot be a spec's name", name.value);
        let hint =
            "Use 1 to 48 letters, digits, \"_\", \"-\" and \".\": it names files and sessions.";
        document.problems().push(Diagnostic::error(&name.span, message).hinted(hint));
    }
    fits.then_some(name)
}

fn check_names(mappings: &[Mapping], problems: &Problems) {
    let mut seen = BTreeMap::new();
    for mapping in mappings {
        if seen.insert(mapping.name.as_str(), ()).is_some() {
            let message = format!("two mappings are named \"{}\"", mapping.name);
            let hint = "Give one of them a name of its own.";
            problems.push(Diagnostic::error(&mapping.span, message).hinted(hint));
        }
    }
}
