//! Files of ledgers whose spec was renamed, moved or removed. They hold row data, which nothing deletes,
//! because only a run of a spec deletes its old runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::location::path_beside;

/// The endings of a ledger's files, behind the name of the spec. The journal is left by a run that was
/// killed.
const ENDS: [&str; 3] = [".db", ".db.lock", ".db-journal"];

/// Returns the files of ledgers in the folder beside specs whose spec does not exist, by the name of the
/// spec.
pub fn find_leftover_files(
    specs: &Path,
    is_there: impl Fn(&str) -> bool,
) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found = BTreeMap::<String, Vec<PathBuf>>::new();
    let beside = path_beside(&specs.join("spec"), "spec");
    let entries = beside.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let spec =
            name.to_str().and_then(|name| ENDS.iter().find_map(|end| name.strip_suffix(end)));
        if let Some(spec) = spec.filter(|spec| !spec.is_empty() && !is_there(spec)) {
            found.entry(spec.to_owned()).or_default().push(entry.path());
        }
    }
    found.values_mut().for_each(|files| files.sort());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_ledgers_are_found_by_the_name_of_their_spec() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find_leftover_files(folder.path(), |_| false).is_empty());
        let beside = folder.path().join(".pgreconcile");
        std::fs::create_dir(&beside).unwrap();
        for name in ["a.db", "a.db.lock", "b.db", "b.db-journal", "c.db.lock", "notes", ".db"] {
            std::fs::write(beside.join(name), "").unwrap();
        }
        let found = find_leftover_files(folder.path(), |spec| spec == "a");
        let found: Vec<_> = found.into_values().flatten().collect();
        assert_eq!(found, ["b.db", "b.db-journal", "c.db.lock"].map(|name| beside.join(name)));
    }
}
