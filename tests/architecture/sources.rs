//! The source files of the crate, and what breaks a rule among them.

use std::path::{Path, PathBuf};

/// A source file.
pub struct File {
    pub path: String,
    pub top: String,
    pub text: String,
}

/// Returns every source file.
pub fn sources() -> Vec<File> {
    files_in("src")
}

/// Returns every Rust file in a folder of the crate, with paths from that folder.
pub fn files_in(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
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
pub fn code(file: &File) -> String {
    let body = file.text.split("#[cfg(test)]").next().unwrap();
    let lines = body.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns every file that breaks a rule, with the reason.
pub fn offenders(rule: impl Fn(&File, &str) -> Option<String>) -> Vec<String> {
    let check = |file: &File| rule(file, &code(file)).map(|why| format!("{}: {why}", file.path));
    sources().iter().filter_map(check).collect()
}
