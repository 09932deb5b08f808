//! The rules of the crate that no type can enforce: which module may import which, where each dependency
//! may be used, how large a file may be.
//!
//! Nothing in Rust keeps modules of one crate from importing each other in a cycle; only a test does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules, each of which may import only from those before it.
const MODULES: &[&str] = &[
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
    "chunks",
    "candidates",
    "files",
    "repair",
    "repair_plan",
    "repair_folder",
    "gate",
    "diagnosis",
    "pg",
    "ledger",
    "throttle",
    "prepare",
    "run",
    "report",
    "cli",
];

struct File {
    path: String,
    top: String,
    text: String,
}

/// Returns every source file.
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
            let top = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            files.push(File { path: name, top, text });
        }
    }
    files
}

/// Returns the code of a file without comments and unit tests.
fn code(file: &File) -> String {
    let body = file.text.split("#[cfg(test)]").next().unwrap();
    let lines = body.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns every file that breaks a rule, with the reason.
fn offenders(rule: impl Fn(&File, &str) -> Option<String>) -> Vec<String> {
    let check = |file: &File| rule(file, &code(file)).map(|why| format!("{}: {why}", file.path));
    sources().iter().filter_map(check).collect()
}

/// Returns the path of a file's module: `run/work/mod.rs` is `run::work`.
fn module(file: &File) -> Vec<String> {
    let name = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// A name that a `use` statement brings into a module.
struct Import {
    /// The path of what is imported, from the crate's root.
    path: Vec<String>,
    /// The name under which the module has it; `*` for all names.
    name: String,
    /// Whether the module passes it on.
    is_reexport: bool,
}

/// Returns the path that a text means within a module, from the crate's root.
fn absolute(path: &str, module: &[String]) -> Option<Vec<String>> {
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
}

/// Returns the leaves of a tree of `use`: `a::{b, c::{d, e as f}}` has three.
fn leaves(tree: &str) -> Vec<String> {
    let Some((base, inner)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
    let (mut depth, mut start, mut branches) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&inner[start..]);
    let branches = branches.into_iter().map(str::trim).filter(|branch| !branch.is_empty());
    branches.flat_map(leaves).map(|leaf| format!("{}{leaf}", base.trim())).collect()
}

/// Splits code into its `use` statements and all else.
fn split_uses(code: &str) -> (Vec<String>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    for statement in code.split_inclusive(';') {
        let lines = statement.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let words = lines.trim_start();
        let is_use = ["use ", "pub use ", "pub(crate) use ", "pub(super) use ", "pub(in "];
        match words.find("use ") {
            Some(at) if is_use.iter().any(|start| words.starts_with(start)) && at < 40 => {
                uses.push(words.trim_end_matches(';').to_owned());
            }
            _ => rest.push_str(statement),
        }
    }
    (uses, rest)
}

/// Returns what the `use` statements of a module import.
fn imports(code: &str, module: &[String]) -> Vec<Import> {
    let mut found = Vec::new();
    for statement in split_uses(code).0 {
        let Some((visibility, tree)) = statement.split_once("use ") else { continue };
        for leaf in leaves(tree) {
            let (path, alias) = match leaf.split_once(" as ") {
                Some((path, alias)) => (path.trim(), Some(alias.trim().to_owned())),
                None => (leaf.as_str(), None),
            };
            let Some(path) = absolute(path, module) else { continue };
            let name = alias.or(path.last().cloned()).unwrap_or_default();
            found.push(Import { path, name, is_reexport: !visibility.trim().is_empty() });
        }
    }
    found
}

/// Returns the paths that code outside of `use` statements spells out from `crate` or `super`.
fn spelled_out(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let rest = split_uses(code).1;
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = rest.split(|c: char| !is_path(c));
    let paths = words.filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
    paths.filter_map(|path| absolute(path.trim_end_matches(':'), module)).collect()
}

/// The modules of the crate, each with what it imports.
struct Modules(BTreeMap<Vec<String>, Vec<Import>>);

impl Modules {
    /// Returns the module that defines what a path means: re-exports are followed to their end.
    fn home(&self, path: &[String]) -> Option<Vec<String>> {
        let mut path = path.to_vec();
        for _ in 0..20 {
            let length =
                (1..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length]))?;
            let (module, rest) = path.split_at(length);
            let Some(name) = rest.first() else { return Some(path) };
            let passed_on = self.0[module].iter().filter(|import| import.is_reexport);
            let mut passed_on = passed_on.filter(|import| import.name == *name);
            let Some(import) = passed_on.next() else { return Some(module.to_vec()) };
            path = import.path.iter().chain(&rest[1..]).cloned().collect();
        }
        None
    }
}

fn level(top: &str) -> Option<usize> {
    MODULES.iter().position(|known| *known == top)
}

#[test]
fn modules_import_only_from_modules_above_them() {
    let found = offenders(|file, code| {
        let own = level(&file.top)?;
        let module = module(file);
        let imported = imports(code, &module).into_iter().map(|import| import.path);
        let mut imported = imported.chain(spelled_out(code, &module));
        let low = imported.find_map(|path| {
            path.into_iter().next().filter(|top| level(top).is_some_and(|at| at > own))
        })?;
        Some(format!("imports {low}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

/// Returns which modules each module imports from: where the names are defined, whichever way they come.
fn dependencies() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let files = sources();
    let of_file = |file: &File| (module(file), imports(&code(file), &module(file)));
    let modules = Modules(files.iter().map(of_file).collect());
    let mut all = BTreeMap::new();
    for file in &files {
        let own = module(file);
        let used = modules.0[&own].iter().filter(|import| !import.is_reexport);
        let used = used.map(|import| import.path.clone());
        let used = used.chain(spelled_out(&code(file), &own));
        let homes = used.filter_map(|path| modules.home(&path)).filter(|home| *home != own);
        all.insert(own.clone(), homes.collect());
    }
    all
}

/// Two files that import each other can be understood only together: they are one that is too long.
#[test]
fn files_import_without_a_cycle() {
    let mut imports = dependencies();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 300, "imports are not seen");
    // A file that imports none that is left, or that none that is left imports, is in no cycle.
    loop {
        let left: BTreeSet<_> = imports.keys().cloned().collect();
        let imported: BTreeSet<_> = imports.values().flatten().cloned().collect();
        imports.retain(|own, of| imported.contains(own) && !of.is_disjoint(&left));
        if imports.len() == left.len() {
            break;
        }
    }
    let left: BTreeSet<_> = imports.keys().cloned().collect();
    let cycle = imports.iter().map(|(own, of)| {
        let of: Vec<String> = of.intersection(&left).map(|path| path.join("::")).collect();
        format!("{} imports {}", own.join("::"), of.join(", "))
    });
    let cycle: Vec<String> = cycle.collect();
    assert!(cycle.is_empty(), "{cycle:#?}");
}

/// The law above sees what it should: a cycle behind a re-export, in nested braces, in a path that is
/// spelled out.
#[test]
fn imports_are_followed_to_the_file_that_defines_them() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<String>>();
    let leaves = leaves("a::{b, c::{d, e as f}, self}");
    assert_eq!(leaves, ["a::b", "a::c::d", "a::c::e as f", "a::self"]);
    let own = path("run::work");
    let code = "pub(crate) use self::chunk::{Chunk as Piece};\nuse super::x::{y, z::{q}};\n";
    let found = imports(code, &own);
    let paths: Vec<String> = found.iter().map(|import| import.path.join("::")).collect();
    assert_eq!(paths, ["run::work::chunk::Chunk", "run::x::y", "run::x::z::q"]);
    let spelled = spelled_out("fn f() { super::other::go(crate::row::Key::new()) }", &own);
    assert_eq!(spelled, [path("run::other::go"), path("row::Key::new")]);
    let chunk = path("run::work::chunk");
    let modules = Modules([(own, found), (chunk.clone(), Vec::new())].into());
    assert_eq!(modules.home(&path("run::work::Piece")), Some(chunk));
}

#[test]
fn every_file_is_in_a_listed_module() {
    let found = offenders(|file, _| {
        let known = level(&file.top).is_some() || ["lib", "main"].contains(&file.top.as_str());
        (!known).then(|| format!("{} is not listed", file.top))
    });
    assert!(found.is_empty(), "{found:#?}");
}

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

/// A `mod.rs` only declares and re-exports: logic is found in files with a name. These are left to do.
const MOD_FILES_WITH_LOGIC: &[&str] =
    &["cli/mod.rs", "gate/mod.rs", "report/diagnosis/mod.rs", "report/mod.rs"];

#[test]
fn mod_files_hold_no_logic() {
    let found = offenders(|file, code| {
        let code = split_uses(code).1;
        let is_declaration = |line: &&str| {
            let line = line.trim();
            let words = line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            let words = words.trim_start_matches("pub ");
            line.is_empty() || line.starts_with("#[") || words.starts_with("mod ")
        };
        let logic = code.lines().find(|line| !is_declaration(line))?;
        let is_mod = file.path.ends_with("mod.rs");
        let is_left = MOD_FILES_WITH_LOGIC.contains(&file.path.as_str());
        (is_mod && !is_left).then(|| format!("holds {logic:?}"))
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_module_is_too_large() {
    let mut lines = BTreeMap::new();
    for file in sources() {
        *lines.entry(file.top).or_insert(0) += file.text.lines().count();
    }
    lines.retain(|_, lines| *lines > 6_000);
    assert!(lines.is_empty(), "{lines:#?}");
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

#[test]
fn every_test_file_is_listed() {
    let main = include_str!("main.rs");
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")).unwrap();
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(main.contains(&format!("mod {module};")), "{name} is not in tests/main.rs");
        }
    }
}
