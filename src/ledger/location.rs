//! Where a ledger is, and how its file is created so that only its owner can read it.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::{Directory, Purpose, create_folder};
use crate::pg::Conninfo;

/// Which ledger is to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerSetting {
    /// None.
    Off,
    /// The file in the folder `.pgreconcile` beside the spec.
    Beside,
    /// This one.
    At(Location),
}

/// Where a ledger is. `Debug` shows the same as `Display`, without a password.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// The database of a connection string.
    Database(String),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => write!(f, "ledger {}", path.display()),
            Location::Database(url) => match Conninfo::parse(url) {
                Ok(info) => write!(f, "ledger {}", info.place()),
                Err(_) => f.write_str("the ledger"),
            },
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl LedgerSetting {
    /// Returns where the ledger of a spec is, if one is to be used.
    pub fn location(&self, spec_path: &Path, spec_name: &str) -> Option<Location> {
        match self {
            LedgerSetting::Off => None,
            LedgerSetting::Beside => Some(Location::File(path_beside(spec_path, spec_name))),
            LedgerSetting::At(location) => Some(location.clone()),
        }
    }
}

/// The name of the folder beside a spec.
const FOLDER: &str = ".pgreconcile";

/// Returns the path of the ledger beside a spec. A spec's name is valid in every file system.
pub fn path_beside(spec_path: &Path, spec_name: &str) -> PathBuf {
    let folder = spec_path.parent().unwrap_or(Path::new(""));
    folder.join(FOLDER).join(format!("{spec_name}.db"))
}

/// The endings of files beside a database from which SQLite takes pages if it finds them.
const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Creates the folder beside a spec. A folder that the user has named must exist: otherwise a typing
/// error would create a folder.
pub(super) fn make_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if folder.ends_with(FOLDER) => create_folder(folder),
        _ => Ok(()),
    }
}

/// Creates a ledger's file if it is not there. Returns its path without links, for SQLite to open it.
///
/// # Errors
/// When another user could have written to it, or to a file that SQLite would take pages from.
pub(super) fn create_database(file: &Path) -> io::Result<PathBuf> {
    let (folder, name) = Directory::of(file, Purpose::State)?;
    if !folder.check(&name)? {
        match folder.create(&name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            // Another process may have been faster.
            _ => drop(folder.check(&name)?),
        }
    }
    for end in COMPANIONS {
        let mut companion = name.clone();
        companion.push(end);
        folder.check(&companion)?;
    }
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(parent.unwrap_or(Path::new(".")).canonicalize()?.join(name))
}

/// Finds a ledger's file, to read it. Returns its path without links, or `None` if it is not there.
///
/// # Errors
/// When it is not a regular file, or SQLite would take pages from a file that is not the owner's of the ledger.
pub(super) fn find_database(file: &Path) -> io::Result<Option<PathBuf>> {
    if !file.try_exists()? {
        return Ok(None);
    }
    let file = file.canonicalize()?;
    let found = file.metadata()?;
    if !found.is_file() {
        let message = format!("{} is not a regular file", file.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let owner = found.uid();
    for end in COMPANIONS {
        let mut companion = file.clone().into_os_string();
        companion.push(end);
        let companion = PathBuf::from(companion);
        let Ok(found) = companion.symlink_metadata() else { continue };
        if !found.is_file() || found.uid() != owner {
            let message =
                format!("{} is not a file of the owner of the ledger", companion.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
    }
    Ok(Some(file))
}
