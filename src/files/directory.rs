//! An opened folder. Names in it are resolved from its descriptor, so that the folder that was checked is
//! the one that is used, even if the path leads elsewhere later. The path may contain symbolic links: the
//! folder at its end is checked.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, fstat, mkdirat, openat, statat};

use super::ownership::{EntryMetadata, Expected, Process, Purpose};

/// Access for the owner only.
pub(super) const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
pub(super) const FOLDER_MODE: Mode = Mode::RWXU;

/// With `NONBLOCK`, for opening a named pipe would block before it can be refused.
pub(super) const OPEN: OFlags =
    OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NOCTTY).union(OFlags::NONBLOCK);

/// An open folder in which only trusted users may create files.
#[derive(Clone, Debug)]
pub struct Directory {
    pub(super) file: Arc<File>,
    path: PathBuf,
}

/// Creates a folder that only its owner can access. An existing folder is not changed.
///
/// # Errors
/// If it does not exist and cannot be created.
pub fn create_folder(path: &Path) -> io::Result<()> {
    match mkdirat(CWD, path, FOLDER_MODE).map_err(io::Error::from) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(with_path(path, &error)),
        _ => Ok(()),
    }
}

impl Directory {
    /// Opens a folder and checks it.
    ///
    /// # Errors
    /// If it cannot be opened, or users that are not trusted may create files in it.
    pub fn open(path: &Path, purpose: Purpose) -> io::Result<Directory> {
        let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = openat(CWD, here, flags, Mode::empty());
        let file = File::from(file.map_err(|error| with_path(here, &error.into()))?);
        check_file(here, &file, Expected::Folder(purpose))?;
        Ok(Directory { file: Arc::new(file), path: path.to_owned() })
    }

    /// Opens the folder of a file; returns the file's name, too.
    ///
    /// # Errors
    /// As [`Directory::open`], and if the path does not end in a name.
    pub fn of(file: &Path, purpose: Purpose) -> io::Result<(Directory, OsString)> {
        let Some(name) = file.file_name() else {
            let why = format!("{} does not end in a name", file.display());
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        Ok((Directory::open(folder, purpose)?, name.to_owned()))
    }

    /// Makes a directory of a folder that is open already.
    pub(super) fn from_parts(file: File, path: PathBuf) -> Directory {
        Directory { file: Arc::new(file), path }
    }

    /// Returns the path of a name in it.
    pub fn path_of(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    /// Opens a file to read. Its owner may be root.
    ///
    /// # Errors
    /// If it cannot be opened, or another user may have written to it.
    pub fn read(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.open_file(name.as_ref(), OFlags::RDONLY, Expected::FileToRead)
    }

    /// Opens a file to read it and to append to it.
    ///
    /// # Errors
    /// If it cannot be opened, or another user may have written to it.
    pub fn append(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND;
        self.open_file(name.as_ref(), flags, Expected::FileToWrite)
    }

    /// Opens a file to read and write, or creates it with access for its owner only, whatever the umask.
    /// It is not truncated.
    ///
    /// # Errors
    /// If it cannot be opened or created, or another user may have written to it.
    pub fn open_or_create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        self.open_file(name.as_ref(), flags, Expected::FileToWrite)
    }

    /// Creates a file with access for its owner only, whatever the umask.
    ///
    /// # Errors
    /// If it cannot be created, or the name exists.
    pub fn create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        self.open_file(name.as_ref(), flags, Expected::FileToWrite)
    }

    /// Returns whether a name exists, of whatever type.
    pub fn has(&self, name: impl AsRef<OsStr>) -> bool {
        let entry = self.entry(name.as_ref());
        !entry.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// Checks a file that another library opens by its path to write to it. Returns whether it exists.
    ///
    /// It is not opened: a process that closes a file loses all its POSIX locks on it, also those of SQLite.
    ///
    /// # Errors
    /// If another user may have written to it.
    pub fn check(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        let path = self.path_of(&name);
        match self.entry(name.as_ref()) {
            Ok(entry) => check_metadata(&path, &entry, Expected::FileToWrite).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(with_path(&path, &error)),
        }
    }

    /// Checks that a file may be renamed to a name: the name does not exist, or is that of a regular file
    /// that may be replaced.
    ///
    /// # Errors
    /// If it is something else, or the sticky bit forbids this process to replace it.
    pub fn check_replaceable(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let path = self.path_of(&name);
        let entry = match self.entry(name.as_ref()) {
            Ok(entry) => entry,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(with_path(&path, &error)),
        };
        let folder = fstat(&self.file).map(EntryMetadata::from)?;
        let process = Process::current();
        let may_replace = !folder.mode.contains(Mode::SVTX)
            || process.user == 0
            || [folder.user, entry.user].contains(&process.user);
        // Its mode and its links do not matter: it is never written to.
        let owner = if may_replace { process.user } else { entry.user };
        let entry = EntryMetadata { mode: FILE_MODE, has_one_name: true, user: owner, ..entry };
        check_metadata(&path, &entry, Expected::FileToWrite)
    }

    /// Returns whether a name is free for a folder: it does not exist, or is an empty folder.
    ///
    /// # Errors
    /// If that cannot be determined.
    pub fn is_free(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        let flags = OPEN | OFlags::DIRECTORY;
        match openat(&self.file, name.as_ref(), flags, Mode::empty()).map_err(io::Error::from) {
            Ok(folder) => Ok(list_names(folder)?.is_empty()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(_) => Ok(false),
        }
    }

    /// Syncs the names in it to disk.
    ///
    /// # Errors
    /// If the file system cannot.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all().map_err(|error| with_path(&self.path, &error))
    }

    pub(super) fn entry(&self, name: &OsStr) -> io::Result<EntryMetadata> {
        Ok(statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW)?.into())
    }

    fn open_file(&self, name: &OsStr, flags: OFlags, expected: Expected) -> io::Result<File> {
        let path = self.path_of(name);
        if Path::new(name).components().count() != 1 || path.file_name() != Some(name) {
            let why = format!("{} is not a name in this folder", Path::new(name).display());
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let file = openat(&self.file, name, flags | OPEN, FILE_MODE).map_err(io::Error::from);
        let file = file.map_err(|error| {
            // The system's error about a link that is not followed differs between systems.
            let entry = self.entry(name).ok().filter(|_| error.kind() != ErrorKind::AlreadyExists);
            let objection = entry.and_then(|entry| check_metadata(&path, &entry, expected).err());
            objection.unwrap_or_else(|| with_path(&path, &error))
        })?;
        let file = File::from(file);
        check_file(&path, &file, expected)?;
        Ok(file)
    }
}

/// Lists the names in a folder.
pub(super) fn list_names(folder: impl rustix::fd::AsFd) -> io::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn check_file(path: &Path, file: &File, expected: Expected) -> io::Result<()> {
    let stat = fstat(file).map_err(|error| with_path(path, &error.into()))?;
    check_metadata(path, &stat.into(), expected)
}

fn check_metadata(path: &Path, entry: &EntryMetadata, expected: Expected) -> io::Result<()> {
    let Some(objection) = Process::current().objection(entry, expected) else { return Ok(()) };
    let what = if matches!(expected, Expected::Folder(_)) { "folder " } else { "" };
    let message = format!("{what}{} {objection}", path.display());
    Err(io::Error::new(ErrorKind::PermissionDenied, message))
}

/// Adds a path to an error of the system.
pub(super) fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn names_are_resolved_in_the_folder_that_was_opened() {
        let outer = tempfile::tempdir().unwrap();
        let place = outer.path().join("place");
        create_folder(&place).unwrap();
        create_folder(&place).unwrap();
        std::fs::write(outer.path().join("x"), "outside").unwrap();
        let directory = Directory::open(&place, Purpose::State).unwrap();
        for name in ["../x", "..", ".", "", "/etc/hostname", "./x", "x/", "a/b"] {
            let kinds = [directory.read(name), directory.open_or_create(name)];
            kinds.into_iter().for_each(|file| drop(file.unwrap_err()));
        }
        // Another folder takes its path later.
        std::fs::rename(&place, outer.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(outer.path(), &place).unwrap();
        directory.create("y").unwrap();
        assert!(outer.path().join("moved/y").exists() && !outer.path().join("y").exists());
        assert!(directory.read("x").is_err_and(|error| error.kind() == ErrorKind::NotFound));
    }

    #[test]
    fn an_existing_file_is_not_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), Purpose::State).unwrap();
        let text = || {
            let mut text = String::new();
            directory.read("x").unwrap().read_to_string(&mut text).unwrap();
            text
        };
        assert!(!directory.has("x") && !directory.check("x").unwrap());
        directory.open_or_create("x").unwrap().write_all(b"one").unwrap();
        drop(directory.open_or_create("x").unwrap());
        assert_eq!(text(), "one");
        directory.append("x").unwrap().write_all(b"two").unwrap();
        assert_eq!(text(), "onetwo");
        let again = directory.create("x").unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        assert!(directory.has("x") && directory.check("x").unwrap());
    }

    #[test]
    fn only_a_missing_name_or_an_empty_folder_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), Purpose::Output).unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("full/x")).unwrap();
        std::fs::create_dir(path("empty")).unwrap();
        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("empty", path("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
        let names = ["none", "empty", "full", "file", "link", "dangling"];
        let free = names.map(|name| directory.is_free(name).unwrap());
        assert_eq!(free, [true, true, false, false, false, false]);
    }
}
