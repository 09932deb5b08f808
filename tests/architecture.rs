//! The laws of the house that no type can hold: which room may import which, which dependency has
//! which door, how large a file may grow.
//!
//! Nothing in Rust keeps modules of one crate from importing each other in a circle; only a test does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms, from the foundation up: each may import only from those before it.
const ROOMS: &[&str] = &[
    "problem",
    "schema",
    "row",
    "finding",
    "spec",
    "text",
    "plan",
    "event",
    "sql",
    "compare",
    "repair",
    "gate",
    "files",
    "diagnosis",
    "pg",
    "ledger",
    "run",
    "report",
    "cli",
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

/// Where a file stands among the modules: `run/work/mod.rs` is `run::work`.
fn module(file: &File) -> Vec<String> {
    let name = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// What the `use` statements of a module name, each as a path from the crate's root. What is passed on
/// to others is not used.
fn used(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for statement in code.split(';') {
        let lines = statement.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let Some(at) = lines.find("use ") else { continue };
        let tree = &lines[at + "use ".len()..];
        if !lines[..at].trim().is_empty() {
            continue;
        }
        let mut open = vec![String::new()];
        for (place, c) in tree.char_indices() {
            let word = open.last().unwrap().clone();
            match c {
                '{' => open.push(word),
                ',' | '}' => {
                    let base = open[open.len().saturating_sub(2)].clone();
                    let ends = !tree[..place].ends_with('}') && !word.ends_with("::");
                    paths.extend(ends.then_some(word));
                    if c == '}' {
                        open.pop();
                    } else {
                        *open.last_mut().unwrap() = base;
                    }
                }
                c => open.last_mut().unwrap().push(c),
            }
        }
        if open.len() == 1 && !tree.ends_with('}') {
            paths.push(open.remove(0));
        }
    }
    let absolute = |path: String| {
        let path = path.split(" as ").next().unwrap().trim().to_owned();
        let mut parts: Vec<String> = Vec::new();
        let mut words = path.split("::").map(str::trim).peekable();
        match words.next()? {
            "crate" => {}
            "self" => parts.extend_from_slice(module),
            "super" => parts.extend_from_slice(&module[..module.len().checked_sub(1)?]),
            // A child's name needs no `self`; a package's looks the same and leads nowhere.
            child => parts.extend(module.iter().cloned().chain([child.to_owned()])),
        }
        while words.next_if_eq(&"super").is_some() {
            parts.pop();
        }
        parts.extend(words.filter(|word| *word != "self").map(str::to_owned));
        Some(parts)
    };
    paths.into_iter().filter_map(absolute).collect()
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

/// What cannot be understood alone can be understood only at once: two files that import each other are
/// one that is too long. A `mod.rs` is the door of those below it, which may be parts of what it holds.
#[test]
fn no_file_imports_in_a_circle() {
    let files = sources();
    let modules: BTreeSet<_> = files.iter().map(module).collect();
    let doors = files.iter().filter(|file| file.path.ends_with("mod.rs"));
    let doors: BTreeSet<_> = doors.map(module).collect();
    let home = |path: Vec<String>| {
        let parts = (1..=path.len()).rev().map(|length| path[..length].to_vec());
        parts.into_iter().find(|part| modules.contains(part))
    };
    let mut imports = BTreeMap::new();
    for file in &files {
        let own = module(file);
        let imported = used(&code(file), &own).into_iter().filter_map(home);
        let imported: BTreeSet<_> =
            imported.filter(|other| *other != own && !doors.contains(other)).collect();
        imports.insert(own, imported);
    }
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 300, "imports are not seen");
    // Whoever imports nobody that is left, or is imported by nobody that is left, is in no circle.
    loop {
        let left: BTreeSet<_> = imports.keys().cloned().collect();
        let imported: BTreeSet<_> = imports.values().flatten().cloned().collect();
        imports.retain(|own, of| imported.contains(own) && !of.is_disjoint(&left));
        if imports.len() == left.len() {
            break;
        }
    }
    assert!(imports.is_empty(), "{imports:#?}");
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
    ("rustls", &["pg/tls.rs", "pg/connector.rs", "pg/transport.rs"]),
    ("blake3::", &["row/fingerprint.rs"]),
    ("getrandom::", &["row/fingerprint.rs"]),
    ("rusqlite", &["ledger/file.rs"]),
    ("ring::aead", &["ledger/cipher.rs"]),
    ("ring::rand", &["ledger/cipher.rs"]),
    ("toml::", &["spec/"]),
    ("toml_parser::", &["spec/sections.rs"]),
    ("textwrap", &["text/"]),
    ("unicode_width", &["text/"]),
    ("comfy_table", &["report/"]),
    ("pulldown_cmark", &["cli/markdown.rs"]),
    ("annotate_snippets", &["spec/diagnostic.rs"]),
    ("tokio::spawn", &["pg/connector.rs"]),
    ("JoinSet", &["run/dispatcher.rs"]),
    ("async fn", &["pg/", "ledger/", "run/", "cli/"]),
    (".await", &["pg/", "ledger/", "run/", "cli/"]),
    ("std::process", &["main.rs", "ledger/lock.rs"]),
    ("std::env", &["cli/", "pg/defaults.rs", "pg/libpq_files.rs", "main.rs"]),
    ("std::io::std", &["cli/"]),
    ("io::stdout", &["cli/"]),
    ("tempfile", &["files/"]),
    ("rustix", &["files/"]),
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

/// Calls that open a file to write to it, or that change what a folder holds.
const WRITES: &[&str] = &[
    "File::create",
    "File::create_new",
    "File::options",
    "OpenOptions",
    "DirBuilder",
    "fs::write",
    "fs::copy",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::rename",
    "fs::hard_link",
    "fs::symlink",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::set_permissions",
    "fs::chown",
];

/// Who could have been there before, and whether a link is followed, is decided in one module.
#[test]
fn only_one_module_writes_files() {
    let found = offenders(|file, code| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let is_whole = |(at, word): (usize, &str)| {
            !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word)
        };
        let uses = |word: &&&str| code.match_indices(**word).any(is_whole);
        let word = WRITES.iter().find(uses)?;
        (file.room != "files").then(|| format!("uses {word}"))
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
        (makes && file.path != "finding/candidate.rs").then(|| "makes a ruling".to_owned())
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
        "CONTRIBUTING.md",
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
