//! Rules on modules: their order, no cycles, sizes, `mod.rs` files, visibility.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{dependencies, imports, module, spelled_out, split_uses};
use super::sources::{files_in, offenders, sources};

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

#[test]
fn every_file_is_in_a_listed_module() {
    let found = offenders(|file, _| {
        let known = level(&file.top).is_some() || ["lib", "main"].contains(&file.top.as_str());
        (!known).then(|| format!("{} is not listed", file.top))
    });
    assert!(found.is_empty(), "{found:#?}");
}

/// A `mod.rs` only declares and re-exports: logic is found in files with a name.
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
        is_mod.then(|| format!("holds {logic:?}"))
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

/// More files than this in one folder are too many to find one by its name.
const MOST_FILES: usize = 20;

#[test]
fn no_folder_has_too_many_files() {
    for folder in ["src", "tests"] {
        let mut files = BTreeMap::new();
        for file in files_in(folder) {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
            *files.entry(folder).or_insert(0) += 1;
        }
        assert!(files.len() > 5, "files are not seen");
        files.retain(|_, count| *count > MOST_FILES);
        assert!(files.is_empty(), "{folder}: {files:#?}");
    }
}

/// What is visible in a part of the tree only belongs to two modules at once.
#[test]
fn visibility_is_private_of_the_parent_or_of_the_crate() {
    let found = offenders(|_, code| code.contains("pub(in ").then(|| "has pub(in …)".to_owned()));
    assert!(found.is_empty(), "{found:#?}");
}
