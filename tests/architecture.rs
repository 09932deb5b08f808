//! The laws of the house that no type can hold: which room may import which, which dependency has
//! which door, how large a file may grow.
//!
//! Nothing in Rust keeps modules of one crate from importing each other in a circle; only a test does.

use std::path::{Path, PathBuf};

/// The rooms, from the foundation up: each may import only from those before it.
const ROOMS: &[&str] = &[
    "schema", "row", "finding", "spec", "plan", "event", "sql", "compare", "repair", "gate",
    "report", "pg", "ledger", "run", "cli",
];

struct File {
    path: String,
    room: String,
    text: String,
}

/// Every source file, comments and unit tests left out: examples in comments bind nobody.
fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let room = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            files.push(File { path: name, room, text });
        }
    }
    files
}

/// The code of a file without comments and unit tests.
fn code(file: &File) -> String {
    let body = file.text.split("#[cfg(test)]").next().unwrap();
    let lines = body.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every file that breaks a rule, with what breaks it.
fn offenders(rule: impl Fn(&File, &str) -> Option<String>) -> Vec<String> {
    let check = |file: &File| rule(file, &code(file)).map(|why| format!("{}: {why}", file.path));
    sources().iter().filter_map(check).collect()
}

/// Names behind `crate::` in a text, also those in `use crate::{a, b}`.
fn imported(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let listed = rest.strip_prefix('{').map(|list| list.split('}').next().unwrap());
        let names: Vec<&str> = listed.map_or(vec![rest], |list| list.split(',').collect());
        for name in names {
            let end = |c: char| !c.is_alphanumeric() && c != '_';
            rooms.push(name.trim().split(end).next().unwrap().to_owned());
        }
    }
    rooms
}

fn level(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

#[test]
fn rooms_import_only_from_rooms_above_them() {
    let found = offenders(|file, code| {
        let own = level(&file.room)?;
        let low = imported(code).into_iter().find(|room| level(room).is_some_and(|at| at > own))?;
        Some(format!("imports {low}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_stands_in_a_room() {
    let found = offenders(|file, _| {
        let known = level(&file.room).is_some() || ["lib", "main"].contains(&file.room.as_str());
        (!known).then(|| format!("{} is no room", file.room))
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn names_that_say_nothing_name_nothing() {
    let found = offenders(|file, _| {
        let mut parts = file.path.split(['/', '.']);
        let name =
            parts.find(|part| ["utils", "util", "common", "helpers", "misc"].contains(part))?;
        Some(format!("is called {name}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

/// Which words may stand in which places only.
const DOORS: &[(&str, &[&str])] = &[
    ("clap::", &["cli/"]),
    ("indicatif::", &["cli/"]),
    ("tracing::", &["cli/telemetry.rs"]),
    ("tracing_subscriber::", &["cli/telemetry.rs"]),
    ("opentelemetry", &["cli/"]),
    ("tokio_postgres", &["pg/"]),
    ("deadpool", &["pg/"]),
    ("rustls", &["pg/tls.rs", "pg/connector.rs", "pg/cancel.rs"]),
    ("blake3::", &["row/fingerprint.rs"]),
    ("rusqlite", &["ledger/file.rs"]),
    ("toml::", &["spec/"]),
    ("csv::Writer", &["report/csv.rs"]),
    ("comfy_table", &["report/"]),
    ("annotate_snippets", &["spec/diagnostic.rs"]),
    ("tokio::spawn", &["pg/connector.rs"]),
    ("JoinSet", &["run/dispatcher.rs"]),
    ("async fn", &["pg/", "ledger/", "run/", "cli/"]),
    (".await", &["pg/", "ledger/", "run/", "cli/"]),
    ("std::process", &["main.rs", "ledger/lock.rs"]),
    ("std::env", &["cli/", "pg/defaults.rs", "pg/files.rs", "main.rs"]),
    ("std::io::std", &["cli/"]),
    ("io::stdout", &["cli/"]),
];

#[test]
fn each_dependency_has_one_door() {
    let found = offenders(|file, code| {
        let allowed = |places: &[&str]| places.iter().any(|place| file.path.starts_with(place));
        let (word, _) =
            DOORS.iter().find(|(word, places)| code.contains(word) && !allowed(places))?;
        Some(format!("uses {word}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn sql_texts_are_born_in_sql() {
    let found = offenders(|file, code| {
        let words = ["\"select ", "\"begin", "\"set local", "\nfrom (", "\"insert ", "\"update "];
        let word = words.iter().find(|word| code.contains(**word))?;
        (file.room != "sql").then(|| format!("writes {word:?}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

/// A finding's own constructor asks for a ruling, and its fields are private enough that no literal
/// makes one; so it is enough that rulings come from one place.
#[test]
fn only_settling_a_suspect_gives_the_right_to_a_finding() {
    let found = offenders(|file, code| {
        let makes = code.contains("Ruling { disposition");
        (makes && file.path != "finding/suspect.rs").then(|| "makes a ruling".to_owned())
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_opens_with_what_it_is() {
    let found = offenders(|file, _| {
        (!file.text.starts_with("//! ")).then(|| "does not begin with //!".to_owned())
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_is_over_the_wall() {
    let found = offenders(|file, _| {
        let lines = file.text.lines().count();
        (lines > 500).then(|| format!("has {lines} lines"))
    });
    assert!(found.is_empty(), "{found:#?}");
    assert!(
        sources().iter().find(|file| file.path == "main.rs").unwrap().text.lines().count() < 30
    );
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let found = offenders(|file, _| {
        let words = ["TODO", "FIXME", "XXX", "unimplemented!", "todo!(", "#[allow("];
        let word = words.iter().find(|word| file.text.contains(**word))?;
        Some(format!("holds {word}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_top_level_holds_nothing_else() {
    let allowed = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "examples",
        "justfile",
        "specs",
        "src",
        "target",
        "tests",
    ];
    let entries = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let others: Vec<String> =
        names.filter(|name| !name.starts_with('.') && !allowed.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn no_test_file_is_forgotten() {
    let main = include_str!("main.rs");
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")).unwrap();
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(main.contains(&format!("mod {module};")), "{name} is not in tests/main.rs");
        }
    }
}
