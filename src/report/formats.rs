//! The list of report formats. A new one is a file of its own and one line of [`FORMATS`].

use std::path::Path;

use super::format::Format;
use super::{csv, json, jsonl, terminal};
use crate::problem::Problem;

/// Every format, in the order of `--help`.
pub static FORMATS: &[&Format] = &[&terminal::FORMAT, &json::FORMAT, &jsonl::FORMAT, &csv::FORMAT];

/// Names that the contract has for `--format`, and extensions for `--report`, without a writer yet.
pub const PLANNED_FORMATS: [&str; 3] = ["html", "markdown", "github"];
const PLANNED_EXTENSIONS: [&str; 3] = ["html", "md", "prom"];

impl Format {
    /// Returns the format with this name.
    pub fn by_name(name: &str) -> Option<&'static Format> {
        FORMATS.iter().copied().find(|format| format.name == name)
    }

    /// Returns the format that a report file's extension chooses.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_path(path: &Path) -> Result<&'static Format, Problem> {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let extension = extension.to_ascii_lowercase();
        if let Some(format) = FORMATS.iter().find(|of| of.extension == Some(extension.as_str())) {
            return Ok(format);
        }
        let message = match PLANNED_EXTENSIONS.contains(&extension.as_str()) {
            true => format!("reports in .{extension} cannot be written in this version yet"),
            false => "its extension names no format".to_owned(),
        };
        Err(Problem::new(message).with_hint(format!("Name a file that ends in {}.", extensions())))
    }
}

/// Returns the extensions of all formats: `.json, .jsonl or .csv`.
pub fn extensions() -> String {
    let all = FORMATS.iter().filter_map(|format| format.extension);
    let all: Vec<String> = all.map(|extension| format!(".{extension}")).collect();
    match all.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        all => all.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_chooses_the_format() {
        let name = |path: &str| Format::of_path(Path::new(path)).map(|format| format.name);
        assert_eq!(name("a/b.JSON").unwrap(), "json");
        assert_eq!(name("b.c.csv").unwrap(), "csv");
        assert_eq!(extensions(), ".json, .jsonl or .csv");
        let message = |path: &str| name(path).unwrap_err().message;
        assert_eq!(message("a.md"), "reports in .md cannot be written in this version yet");
        assert_eq!([message("a.txt"), message("a")], ["its extension names no format"; 2]);
    }
}
