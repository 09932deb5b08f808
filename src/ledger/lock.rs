//! The lock that keeps two runs apart.
//!
//! Beside a ledger file it is `<ledger>.lock`. The operating system holds it for the process and lets go
//! of it when the process ends, however it ends. So a file that is left there is no lock, and its content
//! only says whom one waits for.
//!
//! In a database it is a lease: a row with an end that is put off as long as the process lives. A
//! session's lock would outlive its process behind a pooler, and end too early at a lost connection.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::location::make_folder;
use crate::files::{Directory, Purpose};

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// The lock's file.
    pub fn path(ledger: &Path) -> PathBuf {
        let mut path = ledger.as_os_str().to_owned();
        path.push(".lock");
        path.into()
    }

    /// Takes the lock of a ledger; if another process holds it, gives what that one says of itself.
    ///
    /// # Errors
    /// When the file cannot be made, another user could have written to it, it is not a lock's, or the
    /// file system has no locks.
    pub fn take(ledger: &Path) -> io::Result<Result<Lock, String>> {
        make_folder(ledger)?;
        let (folder, name) = Directory::of(&Lock::path(ledger), Purpose::State)?;
        let mut file = folder.open_or_create(name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only to say who it is; the lock alone counts.
                let _ = file.take(100).read_to_string(&mut holder);
                return Ok(Err(holder.trim_end().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut earlier = String::new();
        // What is no text is no lock's either.
        let read = Read::by_ref(&mut file).take(100).read_to_string(&mut earlier);
        if read.is_err() || !is_content(&earlier) {
            let message = format!("{} is not a lock of this program", Lock::path(ledger).display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "process {}", std::process::id())?;
        Ok(Ok(Lock { _file: file }))
    }

    /// Whether a process holds the lock of a ledger. To find out, it is held for a moment, together
    /// with everyone else who asks; so ask only where a run seems to be under way.
    pub fn is_held(ledger: &Path) -> bool {
        let held = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let path = Lock::path(ledger);
        // A named pipe would be waited for.
        path.is_file() && File::open(path).is_ok_and(held)
    }
}

/// Whether a lock's file can hold this text: that of a process, or nothing, also where a machine lost
/// its power while it was written.
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
        let held = Lock::take(&ledger).unwrap().unwrap();
        let holder = Lock::take(&ledger).unwrap().unwrap_err();
        assert_eq!(holder, format!("process {}", std::process::id()));
        assert!(Lock::is_held(&ledger));
        drop(held);
        assert!(Lock::path(&ledger).exists());
        assert!(!Lock::is_held(&ledger) && !Lock::is_held(&folder.path().join("no.db")));
        assert!(Lock::take(&ledger).unwrap().is_ok());
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
