//! Which file imports from which: where a name is defined, whichever way it comes.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{File, code, sources};

/// Returns the path of a file's module: `run/work/mod.rs` is `run::work`.
pub fn module(file: &File) -> Vec<String> {
    let name = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// A name that a `use` statement brings into a module.
pub struct Import {
    /// The path of what is imported, from the crate's root.
    pub path: Vec<String>,
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
pub fn split_uses(code: &str) -> (Vec<String>, String) {
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
pub fn imports(code: &str, module: &[String]) -> Vec<Import> {
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
pub fn spelled_out(code: &str, module: &[String]) -> Vec<Vec<String>> {
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

/// Returns which modules each module imports from: where the names are defined, whichever way they come.
pub fn dependencies() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
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

/// All imports are found: behind a re-export, in nested braces, in a path that is
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
