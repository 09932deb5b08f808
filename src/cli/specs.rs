//! Reads the spec files that the command line names: a file, or every .toml file of a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::args;
use super::ui::Ui;
use crate::ledger::find_leftover_files;
use crate::problem::Problem;
use crate::run::{Options, Prepared, prepare};
use crate::spec::{self, Diagnostic, Spec, SpecText};

/// The most bytes of a spec: anything larger is another file.
const MAX_BYTES: u64 = 4 << 20;

/// Reads every spec. Returns `None` if there are problems; all of them have been shown.
pub(super) fn read(args: &args::SpecArgs, ui: &Ui) -> Option<Vec<Spec>> {
    let given = parse_params(&args.params, ui)?;
    let mut specs: Vec<Spec> = Vec::new();
    let mut failed = false;
    for path in files(&args.specs, ui)? {
        match read_one(&path, &given, ui) {
            Some(spec) => specs.push(spec),
            None => failed = true,
        }
    }
    for (place, spec) in specs.iter().enumerate() {
        if let Some(twin) = specs[..place].iter().find(|before| before.name == spec.name) {
            let message = format!(
                "two specs are named \"{}\": {} and {}",
                spec.name,
                twin.text.path.display(),
                spec.text.path.display()
            );
            ui.error(&message, Some("Give one of them another name: runs and files go by it."));
            failed = true;
        }
    }
    for name in given.keys() {
        if !failed && !specs.iter().any(|spec| spec.params.iter().any(|param| param.name == *name))
        {
            let message = format!("no spec declares a parameter \"{name}\"");
            ui.error(&message, Some("Declare it in [params], or leave --param out."));
            failed = true;
        }
    }
    (!failed).then_some(specs)
}

/// Connects and plans every spec. Returns `None` if there are problems; all of them have been
/// shown.
pub(super) async fn prepare_all(
    specs: Vec<Spec>,
    options: impl Fn(&Spec) -> Options,
    ui: &Ui,
) -> Option<Vec<(Prepared, Options)>> {
    let mut prepared = Vec::new();
    let mut failed = false;
    for spec in specs {
        let text = spec.text.clone();
        let options = options(&spec);
        match prepare(spec, &options).await {
            Ok(ready) => {
                ui.spec_warnings(&ready.spec, &ready.warnings);
                prepared.push((ready, options));
            }
            Err(trouble) => {
                ui.trouble(&text, &trouble);
                failed = true;
            }
        }
    }
    (!failed).then_some(prepared)
}

/// Parses the values of `--param`.
fn parse_params(params: &[String], ui: &Ui) -> Option<BTreeMap<String, String>> {
    let mut given = BTreeMap::new();
    for param in params {
        let Some((name, value)) = split_param(param) else {
            ui.error("--param takes NAME=VALUE", Some("For example --param tenants={1,2}."));
            return None;
        };
        if given.insert(name.to_owned(), value.to_owned()).is_some() {
            ui.error(&format!("parameter \"{name}\" is given twice"), None);
            return None;
        }
    }
    Some(given)
}

/// Splits NAME=VALUE. A name is repeated in messages, so the part before "=" has to be one: that of a
/// connection string may hold its password.
fn split_param(param: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || "_-. ".contains(c));
    param.split_once('=').filter(|(name, _)| is_name(name))
}

/// Warns of ledgers beside these specs that belong to no spec of the same folder.
pub(super) fn warn_of_leftovers(specs: &[Spec], ui: &Ui) {
    let folder_of = |spec: &Spec| spec.text.path.parent().unwrap_or(Path::new("")).to_owned();
    for folder in specs.iter().map(folder_of).collect::<BTreeSet<_>>() {
        let given = specs.iter().filter(|spec| folder_of(spec) == folder);
        let Some(owned) = owned_names(&folder, given) else { continue };
        for (name, files) in find_leftover_files(&folder, owned) {
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            let message = format!("{}: no spec beside it is named \"{name}\"", files.join(", "));
            let hint = "It may hold values of rows. If the spec is gone, delete it; if the spec has \
                        another name now, its earlier runs are stored under the old one.";
            ui.warning(&message, Some(hint));
        }
    }
}

/// Returns a function that checks whether a name may belong to a spec of a folder or to a given one.
/// A file that is not valid counts for every name that it contains. Returns `None` if a file of the
/// folder cannot be read.
fn owned_names<'s>(
    folder: &Path,
    given: impl Iterator<Item = &'s Spec>,
) -> Option<impl Fn(&str) -> bool> {
    let mut names: BTreeSet<String> = given.map(|spec| spec.name.clone()).collect();
    let mut others = Vec::new();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for path in spec_files(folder).ok()? {
        let bytes = read_bytes(&path).ok()?;
        let text = SpecText { path, text: String::from_utf8_lossy(&bytes).into_owned() };
        match spec::read_name_of(&text) {
            Ok(name) => drop(names.insert(name)),
            Err(_) => others.push(text.text),
        }
    }
    Some(move |name: &str| names.contains(name) || others.iter().any(|text| text.contains(name)))
}

/// Returns the spec files in a folder, sorted by name.
fn spec_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths = std::fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    let is_spec = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let mut found: Vec<PathBuf> = paths.filter(is_spec).collect();
    found.sort();
    Ok(found)
}

/// Returns the spec files that the paths name.
fn files(paths: &[PathBuf], ui: &Ui) -> Option<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match spec_files(path) {
            Ok(found) if found.is_empty() => {
                let message = format!("folder {} holds no spec", path.display());
                ui.error(&message, Some("A spec is a file whose name ends in .toml."));
                return None;
            }
            Ok(found) => files.extend(found),
            Err(error) => {
                ui.error(&format!("folder {} cannot be read: {error}", path.display()), None);
                return None;
            }
        }
    }
    Some(files)
}

fn read_one(path: &Path, given: &BTreeMap<String, String>, ui: &Ui) -> Option<Spec> {
    let text = read_text(path, ui)?;
    let environment = |name: &str| std::env::var(name).ok();
    match spec::read(text.clone(), given, &environment) {
        Ok(spec) => Some(spec),
        Err(problems) => {
            ui.file_problems(&text, &problems);
            None
        }
    }
}

/// Reads the names of specs, for verbs that query no server. Returns `None` if there are problems;
/// all of them have been shown.
pub(super) fn names(paths: &[PathBuf], ui: &Ui) -> Option<Vec<(PathBuf, String)>> {
    let mut names = Vec::new();
    let mut failed = false;
    for path in files(paths, ui)? {
        let Some(text) = read_text(&path, ui) else {
            failed = true;
            continue;
        };
        match spec::read_name_of(&text) {
            Ok(name) => names.push((path, name)),
            Err(problems) => {
                ui.file_problems(&text, &problems);
                failed = true;
            }
        }
    }
    (!failed).then_some(names)
}

fn read_text(path: &Path, ui: &Ui) -> Option<SpecText> {
    let bytes = match read_bytes(path) {
        Ok(bytes) => bytes,
        Err(problem) => {
            ui.problem(&problem.context(format!("spec {} cannot be read", path.display())));
            return None;
        }
    };
    // Positions do not count a byte order mark, which TOML allows.
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let text =
        SpecText { path: path.to_owned(), text: String::from_utf8_lossy(bytes).into_owned() };
    if let Err(error) = std::str::from_utf8(bytes) {
        let at = error.valid_up_to();
        let problem = Diagnostic::error(
            &(at..at + char::REPLACEMENT_CHARACTER.len_utf8()),
            "the file is not UTF-8",
        );
        ui.diagnostics(&text, &[problem.with_hint("Save the file as UTF-8.")]);
        return None;
    }
    Some(text)
}

/// Reads a file.
fn read_bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: std::io::Error| {
        let hint = match error.kind() {
            ErrorKind::PermissionDenied => "Let the user that this program runs as read it.",
            _ => "Name a spec file, or a folder of them.",
        };
        Problem::new(error.to_string()).with_hint(hint)
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::new("it is larger than 4 MiB").with_hint("Is it a spec?"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_is_no_parameter() {
        assert_eq!(split_param("tenants={1=2}"), Some(("tenants", "{1=2}")));
        for text in ["postgres://u:hunter2?x=1@h/d", "u:hunter2?x=1@h", "//u:hunter2@h/d?a=b"] {
            assert_eq!(split_param(text), None);
        }
    }
}
