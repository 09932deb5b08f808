//! Which batches of a folder were applied: `applied.jsonl` beside its manifest. An `apply` that ended for
//! whatever reason continues behind its last batch.
//!
//! ```text
//! {"version":1,"manifest":"9f2c…"}                                          the manifest's checksum
//! {"part":1,"batch":1,"rows":10000,"transaction":"8131","committed":false}  written before the COMMIT
//! {"part":1,"batch":1,"rows":10000,"transaction":"8131","committed":true}   written after it
//! ```
//!
//! Batches run in order, so the last one that was committed implies all before it. If a batch has its first
//! line only, the server reports what became of its transaction: whenever the process is killed, it can be
//! found out whether the batch was committed. If the server has no record of the transaction any more, or
//! there is no journal, the batch runs again: rows that are as intended stay as they are, and rows that are
//! neither that nor as they were are rejected by its guard.
//!
//! Lines are appended whole, and a batch counts as committed if any process has written so. Several
//! processes that apply one folder at the same time do not disturb each other.
//!
//! The journal is a file and no table of the written database: a role that may change a table may lack the
//! right to create one, and the file is found by everyone who reads the scripts. If it cannot be written,
//! `apply` warns and continues: batches may always run again, and a reviewed folder may be read-only. A
//! journal that exists and cannot be read is an error.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::folder_draft::{file_problem, open_file};
use crate::files::{Directory, Draft};
use crate::problem::Problem;

/// The number of a part and of a batch of it, both from 1.
pub(crate) type BatchNumber = (usize, usize);

/// Records which batches of a folder were applied.
#[derive(Debug)]
pub struct Journal {
    folder: Directory,
    /// The checksum of the manifest.
    seal: String,
    /// The last batch that was committed: its part and its number there, both from 1.
    pub through: Option<(usize, usize)>,
    /// The rows of all batches up to it.
    pub rows: u64,
    /// The batch whose COMMIT was begun, if it is not known whether it succeeded.
    in_doubt: Option<JournalEntry>,
    /// The file; `None` if it is not open yet, or cannot be written.
    file: Option<File>,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct JournalHeader {
    version: u32,
    manifest: String,
}

/// A line about a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct JournalEntry {
    part: usize,
    batch: usize,
    rows: u64,
    transaction: String,
    committed: bool,
}

impl Journal {
    /// The file's name.
    pub const FILE: &'static str = "applied.jsonl";

    /// Reads the journal of a folder; it is empty if there is no file.
    pub(crate) fn read(folder: &Directory, seal: &str) -> Result<Journal, Problem> {
        let (folder, seal) = (folder.clone(), seal.to_owned());
        let mut journal =
            Journal { folder, seal, through: None, rows: 0, in_doubt: None, file: None };
        if !journal.folder.has(Journal::FILE) {
            return Ok(journal);
        }
        let file = open_file(&journal.folder, Journal::FILE)?;
        let mut lines = BufReader::new(file).split(b'\n');
        let header = lines.next().and_then(Result::ok);
        let header = header.and_then(|line| serde_json::from_slice::<JournalHeader>(&line).ok());
        if !header.is_some_and(|header| header.version == 1 && header.manifest == journal.seal) {
            let message = format!("{} is not the record of this repair", Journal::FILE);
            let hint = "It says which batches were applied. Remove it, and every batch runs again under its guards.";
            return Err(Problem::new(message).with_hint(hint));
        }
        for line in lines {
            let line = line.map_err(|error| Problem::io(&journal.path(), &error))?;
            // A truncated line does not count: its batch is not known to be committed.
            if let Ok(line) = serde_json::from_slice(&line) {
                journal.add(line);
            }
        }
        Ok(journal)
    }

    fn path(&self) -> PathBuf {
        self.folder.path_of(Journal::FILE)
    }

    fn add(&mut self, entry: JournalEntry) {
        let number = (entry.part, entry.batch);
        if self.is_committed(number) {
            return;
        }
        if entry.committed {
            self.through = Some(number);
            self.rows += entry.rows;
            self.in_doubt = None;
        } else {
            self.in_doubt = Some(entry);
        }
    }

    /// Returns whether a batch is known to be committed.
    pub(crate) fn is_committed(&self, number: BatchNumber) -> bool {
        self.through.is_some_and(|through| number <= through)
    }

    /// Returns the transaction of a batch that may have been committed.
    pub(crate) fn in_doubt(&self, number: BatchNumber) -> Option<&str> {
        let entry = self.in_doubt.as_ref().filter(|entry| (entry.part, entry.batch) == number);
        entry.map(|entry| entry.transaction.as_str())
    }

    /// Opens the file to write to it.
    pub(crate) fn open(&mut self) -> Result<(), Problem> {
        let file = self.open_file().map_err(|problem| self.unwritten(&problem))?;
        self.file = Some(file);
        Ok(())
    }

    fn open_file(&self) -> Result<File, Problem> {
        let at_path = |error: io::Error| Problem::io(&self.path(), &error);
        if !self.folder.has(Journal::FILE) {
            // The first line is complete before the file gets its name.
            let draft = Draft::file(&self.folder, ".applied-").map_err(file_problem)?;
            let header = JournalHeader { version: 1, manifest: self.seal.clone() };
            let header = serde_json::to_string(&header).map_err(|error| at_path(error.into()))?;
            let mut file = draft.open().map_err(at_path)?;
            let written = writeln!(file, "{header}").and_then(|()| file.sync_all());
            written.map_err(at_path)?;
            match draft.place_new(Journal::FILE) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(file_problem(error));
                }
                // Another process may have created it in between.
                _ => {}
            }
            self.folder.sync().map_err(file_problem)?;
        }
        let mut file = self.folder.append(Journal::FILE).map_err(file_problem)?;
        let mut last = [0];
        file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(at_path)?;
        if last != *b"\n" {
            // Ends a truncated line.
            file.write_all(b"\n").map_err(at_path)?;
        }
        Ok(file)
    }

    fn unwritten(&self, problem: &Problem) -> Problem {
        let message = format!("what is applied cannot be written down: {}", problem.message);
        Problem::new(message).with_hint("Started again it would run every batch again that is not written down, under its guards.")
    }

    /// Records that a batch is about to be committed.
    pub(crate) fn record_commit_begin(
        &mut self,
        (part, batch): BatchNumber,
        rows: u64,
        transaction: String,
    ) -> Result<(), Problem> {
        let entry = JournalEntry { part, batch, rows, transaction, committed: false };
        let written = self.write(&entry);
        self.in_doubt = Some(entry);
        written
    }

    /// Records that the batch in doubt was committed.
    pub(crate) fn record_commit(&mut self) -> Result<(), Problem> {
        let Some(entry) = self.in_doubt.take() else { return Ok(()) };
        let entry = JournalEntry { committed: true, ..entry };
        let written = self.write(&entry);
        self.add(entry);
        written
    }

    /// Records that the batch in doubt was not committed.
    pub(crate) fn clear_doubt(&mut self) {
        self.in_doubt = None;
    }

    /// Writes an entry. After an error nothing more is written.
    fn write(&mut self, entry: &JournalEntry) -> Result<(), Problem> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = serde_json::to_string(entry)
            .map_err(io::Error::from)
            .and_then(|text| file.write_all(format!("{text}\n").as_bytes()))
            // The entry before a COMMIT has to survive a crash of the machine.
            .and_then(|()| if entry.committed { Ok(()) } else { file.sync_data() });
        written.map_err(|error| {
            self.file = None;
            self.unwritten(&Problem::io(&self.path(), &error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Purpose;

    #[test]
    fn a_journal_continues_where_it_ended() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Directory::open(temporary.path(), Purpose::State).unwrap();
        let read = || Journal::read(&folder, "seal");
        let mut journal = read().unwrap();
        assert_eq!((journal.through, journal.rows), (None, 0));
        journal.open().unwrap();
        journal.record_commit_begin((1, 1), 10, "7".to_owned()).unwrap();
        journal.record_commit().unwrap();
        journal.record_commit_begin((1, 2), 5, "8".to_owned()).unwrap();

        let mut journal = read().unwrap();
        assert_eq!((journal.through, journal.rows), (Some((1, 1)), 10));
        assert_eq!((journal.in_doubt((1, 1)), journal.in_doubt((1, 2))), (None, Some("8")));
        assert!(journal.is_committed((1, 1)) && !journal.is_committed((1, 2)));
        journal.clear_doubt();
        assert_eq!(journal.in_doubt((1, 2)), None);
        assert!(Journal::read(&folder, "another seal").is_err());
    }

    #[test]
    fn a_truncated_line_does_not_count() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Directory::open(temporary.path(), Purpose::State).unwrap();
        let mut journal = Journal::read(&folder, "seal").unwrap();
        journal.open().unwrap();
        journal.file.as_mut().unwrap().write_all(b"{\"part\":1,\"batch\":1,\"ro").unwrap();
        let mut journal = Journal::read(&folder, "seal").unwrap();
        assert_eq!(journal.through, None);
        journal.open().unwrap();
        journal.record_commit_begin((1, 1), 10, "7".to_owned()).unwrap();
        journal.record_commit().unwrap();
        assert_eq!(Journal::read(&folder, "seal").unwrap().through, Some((1, 1)));
    }
}
