//! Where a ledger lies, and that nobody but its owner reads its file.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::pg::Conninfo;

/// Where runs are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    Off,
    /// In a folder `.pgreconcile` beside the spec.
    Beside,
    /// There.
    At(Location),
}

/// Where one ledger lies. `Debug` shows what `Display` does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// In this file.
    File(PathBuf),
    /// In the database of this connection string.
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

impl Place {
    /// The ledger of a spec, if runs are remembered.
    pub fn of(&self, spec_path: &Path, spec_name: &str) -> Option<Location> {
        match self {
            Place::Off => None,
            Place::Beside => Some(Location::File(place_beside(spec_path, spec_name))),
            Place::At(location) => Some(location.clone()),
        }
    }
}

/// The folder beside a spec.
const FOLDER: &str = ".pgreconcile";

/// The file beside a spec. A spec's name is made of letters that every file system takes.
pub fn place_beside(spec_path: &Path, spec_name: &str) -> PathBuf {
    let folder = spec_path.parent().unwrap_or(Path::new(""));
    folder.join(FOLDER).join(format!("{spec_name}.db"))
}

/// Makes the folder beside a spec. A folder that the user named has to be there: a slip in its name
/// would else become a folder.
pub(super) fn make_folder(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent().filter(|folder| folder.ends_with(FOLDER)) else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes a file of its owner's alone, whatever the umask, and opens it; one that is there stays.
pub(super) fn make_file(file: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}
