//! The lock of a ledger file, which excludes two runs of a spec.
//!
//! It is the file `<ledger>.lock` beside the ledger. The operating system holds the lock for the process
//! and releases it when the process ends, however it ends. So a file that is left is no lock, and its
//! content only names the process that holds it.
//!
//! A ledger in a database has leases instead: a session's lock would outlive its process behind a pooler,
//! and end too early at a lost connection.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::location::make_folder;
use crate::files::{Directory, Purpose};

/// The result of an attempt to take a lock or a lease.
#[derive(Debug)]
pub enum Acquisition<T> {
    /// It was taken.
    Acquired(T),
    /// Another process holds it, and is named so.
    HeldBy(String),
}

impl<T> Acquisition<T> {
    /// Returns the lock or lease, if it was taken.
    pub fn acquired(self) -> Option<T> {
        match self {
            Acquisition::Acquired(held) => Some(held),
            Acquisition::HeldBy(_) => None,
        }
    }
}

/// A lock, which is released when it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Returns the path of a ledger's lock.
    pub fn path(ledger: &Path) -> PathBuf {
        let mut path = ledger.as_os_str().to_owned();
        path.push(".lock");
        path.into()
    }

    /// Takes the lock of a ledger. If another process holds it, returns the content of the file, which
    /// names that process.
    ///
    /// # Errors
    /// When the file cannot be created, another user could have written to it, it is not a lock of this
    /// program, or the file system has no locks.
    pub fn take(ledger: &Path) -> io::Result<Acquisition<Lock>> {
        make_folder(ledger)?;
        let (folder, name) = Directory::of(&Lock::path(ledger), Purpose::State)?;
        let mut file = folder.open_or_create(name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: the lock alone counts.
                let _ = file.take(100).read_to_string(&mut holder);
                return Ok(Acquisition::HeldBy(holder.trim_end().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut earlier = String::new();
        // A file that is no text is no lock of this program either.
        let read = Read::by_ref(&mut file).take(100).read_to_string(&mut earlier);
        if read.is_err() || !is_content(&earlier) {
            let message = format!("{} is not a lock of this program", Lock::path(ledger).display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "process {}", std::process::id())?;
        Ok(Acquisition::Acquired(Lock { _file: file }))
    }

    /// Returns whether a process holds the lock of a ledger. To find out, a shared lock is taken for a
    /// moment, so this must only be called if a run seems to be under way.
    pub fn is_held(ledger: &Path) -> bool {
        let held = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let path = Lock::path(ledger);
        // Opening a named pipe would block.
        path.is_file() && File::open(path).is_ok_and(held)
    }
}

/// Returns whether this is the content of a lock's file: that of a process, or nothing, also if the
/// machine lost power while it was written.
fn is_content(text: &str) -> bool {
    text.starts_with("process ") || text.trim_matches('\0').is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_a_file_that_is_left_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("x.db");
        let held = Lock::take(&ledger).unwrap().acquired().unwrap();
        let Acquisition::HeldBy(holder) = Lock::take(&ledger).unwrap() else { panic!() };
        assert_eq!(holder, format!("process {}", std::process::id()));
        assert!(Lock::is_held(&ledger));
        drop(held);
        assert!(Lock::path(&ledger).exists());
        assert!(!Lock::is_held(&ledger) && !Lock::is_held(&folder.path().join("no.db")));
        assert!(Lock::take(&ledger).unwrap().acquired().is_some());
        assert!(Lock::take(&folder.path().join("no/x.db")).is_err());
    }

    #[test]
    fn a_file_of_another_program_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("yarn");
        for (content, is_taken) in [
            (&b"# yarn lockfile v1\n"[..], false),
            (b"\xff\xfe", false),
            (b"", true),
            (b"\0\0\0", true),
            (b"process 12345678\n", true),
        ] {
            std::fs::write(Lock::path(&ledger), content).unwrap();
            assert_eq!(Lock::take(&ledger).is_ok(), is_taken, "{content:?}");
            let found = std::fs::read(Lock::path(&ledger)).unwrap();
            assert_eq!(found == content, !is_taken, "{content:?}");
        }
    }
}
