//! A file or a folder that is written beside its place, and renamed into it when it is whole.
//!
//! A draft holds values of rows, and a process that is killed leaves it behind. So the next draft of the
//! same kind removes those that no process works on. Each process holds a lock (`flock`) on its draft,
//! which ends with the process; where a file system has no such locks, nothing is removed.
//!
//! On Linux a file could be without a name until it is whole. A folder cannot, other systems and many
//! network file systems know no such files, and what would remain to be cleared up is the same.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, linkat, mkdirat, openat, renameat};
use rustix::fs::{statat, unlinkat};
use rustix::io::Errno;

use super::directory::{Directory, FILE_MODE, FOLDER_MODE, OPEN, named, names};
use super::ownership::Process;

/// A file or a folder that is not in its place yet. Dropped, it is removed.
#[derive(Debug)]
pub struct StagedEntry {
    directory: Directory,
    name: OsString,
    /// Locked as long as it is open.
    entry: File,
    is_placed: bool,
}

/// Creates a temporary file that has no name, in the folder that `TMPDIR` names.
///
/// # Errors
/// When it cannot be created.
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
                // Another process has taken it for abandoned.
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
            let entry = create(&name).map_err(|error| named(&path, &error.into()))?;
            let Some(entry) = entry.map(File::from) else { continue };
            // Where a file system has no locks, this fails, and removing fails as well.
            while entry.lock().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
            let draft = StagedEntry { directory: directory.clone(), name, entry, is_placed: false };
            // Another process may have taken it for abandoned before it was locked.
            if is_same(&draft.directory, &draft.name, &draft.entry) {
                return Ok(draft);
            }
        }
    }

    /// The file, to write to.
    ///
    /// # Errors
    /// When the process has too many open files.
    pub fn open(&self) -> io::Result<File> {
        self.entry.try_clone()
    }

    /// The folder, to create files in.
    ///
    /// # Errors
    /// When the process has too many open files.
    pub fn directory(&self) -> io::Result<Directory> {
        Ok(Directory::from_parts(self.entry.try_clone()?, self.directory.path_of(&self.name)))
    }

    /// Renames it to its place; what is there is replaced.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn place(mut self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let folder = &self.directory.file;
        renameat(folder, &self.name, folder, name.as_ref())
            .map_err(|error| named(&self.directory.path_of(&name), &error.into()))?;
        self.is_placed = true;
        Ok(())
    }

    /// Renames a file to its place if that is free.
    ///
    /// # Errors
    /// `AlreadyExists` if it is not, or when it cannot be renamed.
    pub fn place_new(mut self, name: impl AsRef<OsStr>) -> io::Result<()> {
        rename_new(&self.directory.file, &self.name, name.as_ref())
            .map_err(|error| named(&self.directory.path_of(&name), &error.into()))?;
        self.is_placed = true;
        Ok(())
    }
}

/// Renames a file unless the name is taken.
fn rename_new(folder: &File, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
            // Network file systems do not know the flag.
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
            // What made it be dropped is what counts; the next draft removes it.
            let _ = remove(&self.directory, &self.name, &self.entry);
        }
    }
}

/// Removes drafts of this process's user that no process works on.
pub(super) fn remove_abandoned(directory: &Directory, prefix: &str) {
    let found = names(&directory.file).unwrap_or_default();
    for name in found.iter().filter(|name| is_draft(name, prefix)) {
        // What cannot be removed stays for the next time.
        let _ = remove_if_abandoned(directory, name);
    }
}

/// Whether a name is the prefix with an id behind it.
fn is_draft(name: &OsStr, prefix: &str) -> bool {
    let id = name.to_str().and_then(|name| name.strip_prefix(prefix));
    id.is_some_and(|id| id.len() >= 6 && id.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn remove_if_abandoned(directory: &Directory, name: &OsStr) -> io::Result<()> {
    let flags = match directory.entry(name)?.kind {
        FileType::Directory => OFlags::RDONLY | OFlags::DIRECTORY,
        // Over a network only a file that can be written to can be locked.
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

/// Removes a draft that is locked; a folder of files with what it holds.
fn remove(directory: &Directory, name: &OsStr, entry: &File) -> io::Result<()> {
    if !is_same(directory, name, entry) {
        return Err(ErrorKind::NotFound.into());
    }
    if FileType::from_raw_mode(fstat(entry)?.st_mode) != FileType::Directory {
        return Ok(unlinkat(&directory.file, name, AtFlags::empty())?);
    }
    for file in names(entry)? {
        unlinkat(entry, file, AtFlags::empty())?;
    }
    Ok(unlinkat(&directory.file, name, AtFlags::REMOVEDIR)?)
}

/// Whether a name is still that of an open file.
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
    fn a_draft_replaces_what_is_there_when_it_is_placed() {
        let (folder, directory) = folder();
        let place = folder.path().join("r");
        std::fs::write(&place, "old").unwrap();
        let write = |text: &str| {
            let draft = StagedEntry::file(&directory, PREFIX).unwrap();
            draft.open().unwrap().write_all(text.as_bytes()).unwrap();
            draft
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
        let draft = || {
            let draft = StagedEntry::folder(&directory, PREFIX).unwrap();
            draft.directory().unwrap().create("a").unwrap().write_all(b"row").unwrap();
            draft
        };
        drop(draft());
        assert!(listed(folder.path()).is_empty());
        draft().place("r").unwrap();
        assert_eq!(listed(folder.path()), ["r"]);
        assert_eq!(listed(&folder.path().join("r")), ["a"]);
        // A folder that is not empty is not replaced, and nothing is left beside it.
        assert!(draft().place("r").is_err());
        assert_eq!(listed(folder.path()), ["r"]);
    }

    #[test]
    fn only_abandoned_drafts_of_the_same_kind_are_removed() {
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
        // A second process of this one's kind would find it locked.
        running.place("r").unwrap();
        assert!(listed(folder.path()).contains(&"r".to_owned()));
    }

    /// As often as the scheduler lets them meet: what one begins the others take for abandoned until it
    /// is locked.
    #[test]
    fn drafts_that_are_begun_side_by_side_are_all_placed() {
        let (folder, directory) = folder();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let directory = &directory;
                scope.spawn(move || {
                    for n in 0..50 {
                        let draft = StagedEntry::file(directory, PREFIX).unwrap();
                        draft.place(format!("{thread}-{n}")).unwrap();
                        let draft = StagedEntry::folder(directory, PREFIX).unwrap();
                        draft.directory().unwrap().create("a").unwrap();
                        draft.place(format!("{thread}-{n}-f")).unwrap();
                    }
                });
            }
        });
        assert_eq!(listed(folder.path()).len(), 400);
    }
}
