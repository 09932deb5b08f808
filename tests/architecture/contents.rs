//! Rules on what files hold: where dependencies, SQL and writes to files may be, and what no file may hold.

use super::sources::{offenders, sources};

/// Where a word may be used, and nowhere else.
const PLACES: &[(&str, &[&str])] = &[
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
    ("rusqlite", &["ledger/storage/file.rs"]),
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
    ("JoinSet", &["run/scheduler.rs"]),
    ("async fn", &["pg/", "ledger/", "prepare/", "run/", "cli/"]),
    (".await", &["pg/", "ledger/", "prepare/", "run/", "cli/"]),
    ("std::process", &["main.rs", "ledger/lock.rs"]),
    ("std::env", &["cli/", "pg/defaults.rs", "pg/libpq_files.rs", "main.rs"]),
    ("std::io::std", &["cli/"]),
    ("io::stdout", &["cli/"]),
    ("tempfile", &["files/"]),
    ("rustix", &["files/"]),
];

#[test]
fn each_dependency_has_one_place() {
    let found = offenders(|file, code| {
        let allowed = |places: &[&str]| places.iter().any(|place| file.path.starts_with(place));
        let (word, _) =
            PLACES.iter().find(|(word, places)| code.contains(word) && !allowed(places))?;
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
        (file.top != "files").then(|| format!("uses {word}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

/// How SQL begins in a text, in lower case.
const SQL: &[&str] = &[
    "\"select ",
    "\"insert into ",
    "\"update {",
    "\"delete from ",
    "\"lock table ",
    "\"create ",
    "\"begin",
    "\"set local",
    "\"commit;",
    "\nfrom (",
    "\\nfrom (",
    "\\nfrom unnest",
];

/// The files beside `sql` that write SQL: scripts, which are documents that a DBA reads and signs.
const SCRIPTS: &[&str] =
    &["repair/batch.rs", "repair/row_statements.rs", "repair/script.rs", "repair/staged_rows.rs"];

#[test]
fn sql_is_written_only_in_sql_and_in_scripts() {
    let found = offenders(|file, code| {
        let code = code.to_lowercase();
        let word = SQL.iter().find(|word| code.contains(**word))?;
        let is_allowed = file.top == "sql" || SCRIPTS.contains(&file.path.as_str());
        (!is_allowed).then(|| format!("writes {word:?}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

/// The constructor of a finding takes a ruling, and private fields keep literals from making one; so it is
/// enough that rulings come from one place.
#[test]
fn only_a_settled_candidate_becomes_a_finding() {
    let found = offenders(|file, code| {
        let makes = code.contains("Ruling { disposition");
        (makes && file.path != "finding/candidate.rs").then(|| "makes a ruling".to_owned())
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_begins_with_a_description() {
    let found = offenders(|file, _| {
        (!file.text.starts_with("//! ")).then(|| "does not begin with //!".to_owned())
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_is_too_long() {
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
fn no_code_is_left_for_later() {
    let found = offenders(|file, _| {
        let words = ["TODO", "FIXME", "XXX", "unimplemented!", "todo!(", "#[allow("];
        let word = words.iter().find(|word| file.text.contains(**word))?;
        Some(format!("holds {word}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_top_folder_has_nothing_else() {
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
