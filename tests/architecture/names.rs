//! Rules on names: files and types are named once, by nouns.

use std::collections::BTreeMap;

use super::sources::{code, files_in, offenders, sources};

#[test]
fn no_file_has_an_empty_name() {
    let found = offenders(|file, _| {
        let mut parts = file.path.split(['/', '.']);
        let name =
            parts.find(|part| ["utils", "util", "common", "helpers", "misc"].contains(part))?;
        Some(format!("is called {name}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

/// Nouns that end like a gerund or a participle, and verbs with an object that does.
const NOUNS: &[&str] = &["finding", "mapping", "speed", "verify_applied", "writable_mapping"];

/// A file is named by what it holds; a gerund or a participle says what happens somewhere.
#[test]
fn no_file_is_named_by_a_gerund_or_a_participle() {
    let files = files_in("src").into_iter().chain(files_in("tests"));
    let is_verbal = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
        (name.ends_with("ing") || name.ends_with("ed")) && !NOUNS.contains(&name)
    };
    let found: Vec<String> = files.map(|file| file.path).filter(is_verbal).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// Returns the name of a type that a line at the start of a file's margin defines.
fn defined_type(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line =
        line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub(super) ")).unwrap_or(line);
    let rest =
        ["struct ", "enum ", "trait ", "type "].iter().find_map(|word| line.strip_prefix(word));
    rest?.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// One name has one meaning in the crate.
#[test]
fn no_two_types_have_one_name() {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in sources() {
        for name in code(&file).lines().filter_map(defined_type) {
            types.entry(name.to_owned()).or_default().push(file.path.clone());
        }
    }
    assert!(types.len() > 300, "types are not seen: {}", types.len());
    types.retain(|_, files| files.len() > 1);
    assert!(types.is_empty(), "{types:#?}");
}
