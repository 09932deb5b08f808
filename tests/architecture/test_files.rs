//! Rules on the integration tests: every file runs, and no test depends on another.

use super::sources::files_in;

/// A file that no `mod` names is not compiled, and its tests pass by never running.
#[test]
fn every_test_file_is_declared() {
    let files = files_in("tests");
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.text);
    let mut checked = 0;
    for file in &files {
        let path = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if path == "main" || folder == "bench" {
            continue;
        }
        let parents = [format!("{folder}/mod.rs"), format!("{folder}.rs"), "main.rs".to_owned()];
        let parent = parents.iter().find_map(|parent| text(parent)).unwrap();
        let is_declared = parent.lines().any(|line| line.ends_with(&format!("mod {name};")));
        assert!(is_declared, "{} is not compiled", file.path);
        checked += 1;
    }
    assert!(checked > 50, "{checked} files are seen");
}

/// What several tests need is in `support`: a test that imports another cannot be read alone.
#[test]
fn tests_import_only_from_support() {
    let files = files_in("tests").into_iter();
    let own = ["support", "architecture", "bench"];
    let tests = files.filter(|file| !own.contains(&file.path.split('/').next().unwrap()));
    for file in tests.filter(|file| file.path.contains('/')) {
        let other = file.text.lines().map(str::trim).find(|line| {
            line.starts_with("use super::")
                || line.strip_prefix("use crate::").is_some_and(|path| !path.starts_with("support"))
        });
        assert!(other.is_none(), "{}: {other:?}", file.path);
    }
}
