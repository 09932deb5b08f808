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
use super::problems::{FileProblems, MOST_SHOWN, Problems};
use super::reader::{Reader, sentence};
use super::sections::{Sections, moved};
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
/// The problems in the file, in the order of their places.
pub fn read(
    text: SpecText,
    given: &BTreeMap<String, String>,
    environment: Environment<'_>,
) -> Result<Spec, FileProblems> {
    // A byte order mark is legal in TOML; spans count from after it, so it is left out of the text.
    let text = match text.text.strip_prefix('\u{feff}') {
        Some(rest) => SpecText { text: rest.to_owned(), ..text },
        None => text,
    };
    let folder = text.path.parent().unwrap_or(Path::new(""));
    let (file, problems) = SpecFile::open(&text.text);
    let parts = read_document(&file, &problems, folder, given, environment);
    let found = problems.into_found();
    match parts {
        Some(parts) if !found.first.iter().any(Diagnostic::is_error) => {
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
                warnings: found.first,
            })
        }
        _ => Err(found),
    }
}

struct SpecDocument {
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
pub fn read_name_of(text: &SpecText) -> Result<String, FileProblems> {
    let (file, problems) = SpecFile::open(&text.text);
    let table = file.head();
    let mut document = Reader::new(table.get_ref(), 0..0, "the spec", &problems);
    read_version(&mut document);
    let name = read_name(&mut document);
    let found = problems.into_found();
    match name {
        Some(name) if !found.first.iter().any(Diagnostic::is_error) => Ok(name.value),
        _ => Err(found),
    }
}

/// Of a larger file only the first syntax error is reported: each takes the parser some hundred bytes, and
/// a file that is no spec at all has one in every line.
const LARGE: usize = 1 << 16;

/// A file that is parsed part by part.
struct SpecFile<'t> {
    text: &'t str,
    head: String,
    sections: Sections,
    /// Whether nothing is read of it, since it is large and no TOML, or has too many words.
    given_up: bool,
}

impl<'t> SpecFile<'t> {
    /// Finds the parts of a file, and what in it is not TOML.
    fn open(text: &'t str) -> (SpecFile<'t>, Problems) {
        let sections = Sections::of(text);
        let mut file = SpecFile { text, head: sections.head(text), sections, given_up: false };
        if let Some(start) = file.sections.too_long {
            file.given_up = true;
            let message = "the file has more words in one part than a spec has";
            let problem = Diagnostic::error(&(start..start), message)
                .with_hint("Is it a spec? Many mappings are many [[mapping]] tables.");
            return (
                file,
                Problems::of_file(
                    std::iter::once(problem),
                    std::iter::once(0..text.len()).collect(),
                ),
            );
        }
        let mut errors = file.errors();
        if text.len() > LARGE {
            file.given_up = !errors.is_empty();
            errors.truncate(1);
        }
        let problem = |(span, error): &(Span, toml::de::Error)| {
            let message = format!("the file is not TOML: {}", error.message());
            Diagnostic::error(span, message)
                .with_hint(sentence("see https://toml.io for the syntax"))
        };
        let told = errors.iter().take(MOST_SHOWN).map(problem);
        let broken = errors.iter().map(|(span, _)| span.clone()).collect();
        (file, Problems::of_file(told, broken))
    }

    /// What in the file is not TOML, in the order of the places.
    fn errors(&self) -> Vec<(Span, toml::de::Error)> {
        let mut errors = Vec::new();
        let mappings = self.sections.mappings.iter().map(|at| (&self.text[at.clone()], at.start));
        for (part, start) in std::iter::once((self.head.as_str(), 0)).chain(mappings) {
            errors.extend(self.parse(part).1.into_iter().map(|error| {
                let span = error.span().unwrap_or(0..0);
                (span.start + start..span.end + start, error)
            }));
            if self.text.len() > LARGE && start > 0 && !errors.is_empty() {
                break;
            }
        }
        errors.sort_by_key(|(span, _): &(Span, _)| span.start);
        errors
    }

    /// The table of what stands outside of mappings, as far as it is TOML.
    fn head(&self) -> Spanned<DeTable<'_>> {
        self.parse(&self.head).0
    }

    /// The tables of the mappings, one by one.
    fn mappings(&self) -> impl Iterator<Item = Spanned<DeTable<'t>>> {
        let places = self.sections.mappings.iter();
        places.map(|at| moved(self.parse(&self.text[at.clone()]).0, at.start))
    }

    /// The table of a part, as far as it is TOML, and what in it is not.
    fn parse<'p>(&self, part: &'p str) -> (Spanned<DeTable<'p>>, Vec<toml::de::Error>) {
        if self.given_up {
            return (Spanned::new(0..0, DeTable::new()), Vec::new());
        }
        match DeTable::parse(part) {
            Ok(table) => (table, Vec::new()),
            Err(first) if self.text.len() > LARGE => {
                (Spanned::new(0..0, DeTable::new()), vec![first])
            }
            Err(_) => DeTable::parse_recoverable(part),
        }
    }
}

fn read_document(
    file: &SpecFile<'_>,
    problems: &Problems,
    folder: &Path,
    given: &BTreeMap<String, String>,
    environment: Environment<'_>,
) -> Option<SpecDocument> {
    let table = file.head();
    let mut document = Reader::new(table.get_ref(), 0..0, "the spec", problems);
    read_version(&mut document);
    let name = read_name(&mut document);
    let description = document.string("description").map(|placed| placed.value);
    let source = read_side(&mut document, Side::Source, environment);
    let target = read_side(&mut document, Side::Target, environment);
    let (declared, params) = read_params(&mut document, given);
    let compare = read_compare(&mut document);
    let pace = read_pace(&mut document, folder, environment);
    let gate = read_gate(&mut document);
    let in_head = document.value("mapping").map(|(span, _)| span);
    let tables = document.tables("mapping", "[[mapping]]");
    let mut any = !tables.is_empty();
    let read = |table: Reader<'_>| read_mapping(table, &compare, &declared);
    let mut mappings: Vec<Mapping> = tables.into_iter().filter_map(read).collect();
    for section in file.mappings() {
        let mut section = Reader::new(section.get_ref(), 0..0, "the spec", problems);
        let tables = section.tables("mapping", "[[mapping]]");
        any |= !tables.is_empty();
        mappings.extend(tables.into_iter().filter_map(read));
    }
    if let (Some(span), false) = (in_head, file.sections.mappings.is_empty()) {
        let message = "\"mapping\" stands in the file both as [[mapping]] and otherwise";
        problems.push(Diagnostic::error(&span, message).with_hint("Write each as [[mapping]]."));
    }
    if !any {
        document.missing("[[mapping]]", "Add a mapping: which table answers to which.");
    }
    check_names(&mappings, problems);
    document.finish();
    let sides = BySide { source: source?, target: target? };
    Some(SpecDocument { name: name?, description, sides, params, compare, pace, gate, mappings })
}

fn read_version(document: &mut Reader<'_>) {
    match document.number("version", 1) {
        Some(1) => {}
        Some(version) => {
            let span = document.value("version").map_or(0..0, |(_, value)| value.span());
            let message = format!("this program does not read version {version} of the format");
            let hint = "It reads version 1; a newer pgreconcile may read this file.";
            document.problems().push(Diagnostic::error(&span, message).with_hint(hint));
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
        document.problems().push(Diagnostic::error(&name.span, message).with_hint(hint));
    }
    fits.then_some(name)
}

fn check_names(mappings: &[Mapping], problems: &Problems) {
    let mut seen = BTreeMap::new();
    for mapping in mappings {
        if seen.insert(mapping.name.as_str(), ()).is_some() {
            let message = format!("two mappings are named \"{}\"", mapping.name);
            let hint = "Give one of them a name of its own.";
            problems.push(Diagnostic::error(&mapping.span, message).with_hint(hint));
        }
    }
}
