//! A file or a folder that is written under a temporary name, and renamed when it is complete.
//!
//! A staged entry holds values of rows, and a process that is killed leaves it behind. So the next one with
//! the same prefix removes those that no process uses. Each process holds a lock (`flock`) on its entry,
//! which ends with the process. If a file system has no such locks, nothing is removed.
//!
//! On Linux a file could stay without a name until it is complete (`O_TMPFILE`). A folder cannot, and other
//! systems and many network file systems have no such files, so the cleanup would be needed all the same.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, linkat, mkdirat, openat, renameat};
use rustix::fs::{statat, unlinkat};
use rustix::io::Errno;

use super::directory::{Directory, FILE_MODE, FOLDER_MODE, OPEN, list_names, with_path};
use super::ownership::Process;

/// A file or a folder under a temporary name. It is removed when it is dropped.
#[derive(Debug)]
pub struct StagedEntry {
    directory: Directory,
    name: OsString,
    /// Locked as long as it is open.
    entry: File,
    is_placed: bool,
}

/// Creates a temporary file without a name, in the folder that `TMPDIR` names.
///
/// # Errors
/// If it cannot be created.
pub fn create_unnamed_file() -> io::Result<File> {
    tempfile::tempfile()
}

impl StagedEntry {
    /// Creates a file whose name begins with `prefix`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn file(directory: &Directory, prefix: &str) -> io::Result<StagedEntry> {
        StagedEntry::begin(directory, prefix, |name| {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OPEN;
            openat(&directory.file, name, flags, FILE_MODE).map(Some)
        })
    }

    /// Creates a folder whose name begins with `prefix`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn folder(directory: &Directory, prefix: &str) -> io::Result<StagedEntry> {
        StagedEntry::begin(directory, prefix, |name| {
            mkdirat(&directory.file, name, FOLDER_MODE)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OPEN;
            match openat(&directory.file, name, flags, Mode::empty()) {
                // Another process has removed it as abandoned.
                Err(Errno::NOENT) => Ok(None),
                opened => opened.map(Some),
            }
        })
    }

    fn begin(
        directory: &Directory,
        prefix: &str,
        create: impl Fn(&OsStr) -> rustix::io::Result<Option<OwnedFd>>,
    ) -> io::Result<StagedEntry> {
        remove_abandoned(directory, prefix);
        loop {
            let name = OsString::from(format!("{prefix}{}", ulid::Ulid::generate()));
            let path = directory.path_of(&name);
            let entry = create(&name).map_err(|error| with_path(&path, &error.into()))?;
            let Some(entry) = entry.map(File::from) else { continue };
            // This fails if the file system has no locks; then no process removes anything.
            while entry.lock().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
            let staged =
                StagedEntry { directory: directory.clone(), name, entry, is_placed: false };
            // Another process may have removed it as abandoned before it was locked.
            if is_same(&staged.directory, &staged.name, &staged.entry) {
                return Ok(staged);
            }
        }
    }

    /// Opens the file to write to it.
    ///
    /// # Errors
    /// If the process has too many open files.
    pub fn open(&self) -> io::Result<File> {
        self.entry.try_clone()
    }

    /// Returns the folder, to create files in it.
    ///
    /// # Errors
    /// If the process has too many open files.
    pub fn directory(&self) -> io::Result<Directory> {
        Ok(Directory::from_parts(self.entry.try_clone()?, self.directory.path_of(&self.name)))
    }

    /// Renames it to its final name, and replaces an existing entry.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn place(mut self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let folder = &self.directory.file;
        renameat(folder, &self.name, folder, name.as_ref())
            .map_err(|error| with_path(&self.directory.path_of(&name), &error.into()))?;
        self.is_placed = true;
        Ok(())
    }

    /// Renames a file to its final name, unless that exists.
    ///
    /// # Errors
    /// `AlreadyExists` if it does, or another error if it cannot be renamed.
    pub fn place_new(mut self, name: impl AsRef<OsStr>) -> io::Result<()> {
        rename_new(&self.directory.file, &self.name, name.as_ref())
            .map_err(|error| with_path(&self.directory.path_of(&name), &error.into()))?;
        self.is_placed = true;
        Ok(())
    }
}

/// Renames a file unless the new name exists.
fn rename_new(folder: &File, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
            // Network file systems do not support the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            renamed => return renamed,
        }
    }
    linkat(folder, from, folder, to, AtFlags::empty())?;
    unlinkat(folder, from, AtFlags::empty())
}

impl Drop for StagedEntry {
    fn drop(&mut self) {
        if !self.is_placed {
            // An error here must not hide the one before it; the next staged entry removes this one.
            let _ = remove(&self.directory, &self.name, &self.entry);
        }
    }
}

/// Removes staged entries of this process's user that no process uses.
pub(super) fn remove_abandoned(directory: &Directory, prefix: &str) {
    let found = list_names(&directory.file).unwrap_or_default();
    for name in found.iter().filter(|name| is_staged(name, prefix)) {
        // An entry that cannot be removed is left for the next time.
        let _ = remove_if_abandoned(directory, name);
    }
}

/// Returns whether a name is the prefix followed by an id.
fn is_staged(name: &OsStr, prefix: &str) -> bool {
    let id = name.to_str().and_then(|name| name.strip_prefix(prefix));
    id.is_some_and(|id| id.len() >= 6 && id.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn remove_if_abandoned(directory: &Directory, name: &OsStr) -> io::Result<()> {
    let flags = match directory.entry(name)?.kind {
        FileType::Directory => OFlags::RDONLY | OFlags::DIRECTORY,
        // On network file systems only a file that is open for writing can be locked.
        FileType::RegularFile => OFlags::RDWR,
        _ => return Ok(()),
    };
    let entry = File::from(openat(&directory.file, name, flags | OPEN, Mode::empty())?);
    if fstat(&entry)?.st_uid != Process::current().user {
        return Ok(());
    }
    entry.try_lock()?;
    remove(directory, name, &entry)
}

/// Removes a staged entry that is locked; a folder with its files.
fn remove(directory: &Directory, name: &OsStr, entry: &File) -> io::Result<()> {
    if !is_same(directory, name, entry) {
        return Err(ErrorKind::NotFound.into());
    }
    if FileType::from_raw_mode(fstat(entry)?.st_mode) != FileType::Directory {
        return Ok(unlinkat(&directory.file, name, AtFlags::empty())?);
    }
    for file in list_names(entry)? {
        unlinkat(entry, file, AtFlags::empty())?;
    }
    Ok(unlinkat(&directory.file, name, AtFlags::REMOVEDIR)?)
}

/// Returns whether a name is still that of an open file.
fn is_same(directory: &Directory, name: &OsStr, entry: &File) -> bool {
    let named = statat(&directory.file, Path::new(name), AtFlags::SYMLINK_NOFOLLOW);
    let opened = fstat(entry);
    matches!((named, opened), (Ok(named), Ok(opened))
        if (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::files::Purpose;

    const PREFIX: &str = ".draft-";

    fn folder() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), Purpose::Output).unwrap();
        (folder, directory)
    }

    fn listed(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_staged_file_replaces_an_existing_one_when_it_is_placed() {
        let (folder, directory) = folder();
        let place = folder.path().join("r");
        std::fs::write(&place, "old").unwrap();
        let write = |text: &str| {
            let staged = StagedEntry::file(&directory, PREFIX).unwrap();
            staged.open().unwrap().write_all(text.as_bytes()).unwrap();
            staged
        };
        drop(write("dropped"));
        assert_eq!(listed(folder.path()), ["r"]);
        assert!(write("late").place_new("r").is_err());
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "old");
        write("new").place("r").unwrap();
        write("first").place_new("s").unwrap();
        assert_eq!(listed(folder.path()), ["r", "s"]);
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "new");
        assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_is_removed_with_its_files_unless_it_is_placed() {
        let (folder, directory) = folder();
        let stage = || {
            let staged = StagedEntry::folder(&directory, PREFIX).unwrap();
            staged.directory().unwrap().create("a").unwrap().write_all(b"row").unwrap();
            staged
        };
        drop(stage());
        assert!(listed(folder.path()).is_empty());
        stage().place("r").unwrap();
        assert_eq!(listed(folder.path()), ["r"]);
        assert_eq!(listed(&folder.path().join("r")), ["a"]);
        // A folder that is not empty is not replaced, and no staged entry is left.
        assert!(stage().place("r").is_err());
        assert_eq!(listed(folder.path()), ["r"]);
    }

    #[test]
    fn only_abandoned_entries_with_the_same_prefix_are_removed() {
        let (folder, directory) = folder();
        let running = StagedEntry::file(&directory, PREFIX).unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path(".draft-Ab12Cd"), "row").unwrap();
        std::fs::create_dir(path(".draft-01JABCDEF")).unwrap();
        std::fs::write(path(".draft-01JABCDEF/rows"), "row").unwrap();
        let kept = [".draft-", ".draft-Ab1.Cd", ".draft-short", ".other-Ab12Cd", "x.draft-Ab12Cd"];
        kept.iter().for_each(|name| std::fs::write(path(name), "").unwrap());
        std::fs::write(path("victim"), "").unwrap();
        std::os::unix::fs::symlink("victim", path(".draft-Link00")).unwrap();
        drop(StagedEntry::file(&directory, PREFIX).unwrap());
        let mut left = [&kept[..], &[".draft-Link00", "victim"]].concat();
        let own = running.name.clone().into_string().unwrap();
        left.push(&own);
        left.sort_unstable();
        assert_eq!(listed(folder.path()), left);
        // Another process would find it locked.
        running.place("r").unwrap();
        assert!(listed(folder.path()).contains(&"r".to_owned()));
    }

    /// An entry looks abandoned to the other threads until it is locked.
    #[test]
    fn entries_that_are_staged_at_the_same_time_are_all_placed() {
        let (folder, directory) = folder();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let directory = &directory;
                scope.spawn(move || {
                    for n in 0..50 {
                        let staged = StagedEntry::file(directory, PREFIX).unwrap();
                        staged.place(format!("{thread}-{n}")).unwrap();
                        let staged = StagedEntry::folder(directory, PREFIX).unwrap();
                        staged.directory().unwrap().create("a").unwrap();
                        staged.place(format!("{thread}-{n}-f")).unwrap();
                    }
                });
            }
        });
        assert_eq!(listed(folder.path()).len(), 400);
    }
}
