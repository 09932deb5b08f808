//! What was applied of a folder: `applied.jsonl` beside its manifest, so that an `apply` that ended,
//! however it ended, goes on behind its last batch.
//!
//! ```text
//! {"version":1,"manifest":"9f2c…"}                                          whose record it is
//! {"part":1,"batch":1,"rows":10000,"transaction":"8131","committed":false}  written before the COMMIT
//! {"part":1,"batch":1,"rows":10000,"transaction":"8131","committed":true}   written behind it
//! ```
//!
//! Batches run in order, so the last one that was committed stands for all before it. Of the one whose
//! first line has no second, the server says what became of its transaction: there is no moment at
//! which a kill leaves it open whether a batch was committed. Where even the server does not know any
//! more, and where there is no record, a batch runs again: what is as intended stays as it is, and what
//! is neither that nor as it was is refused by its guard.
//!
//! Lines are appended whole, and a batch is known once anybody says that it is committed, so several
//! that apply one folder side by side do not disturb each other.
//!
//! A file, and no rows in the database that is written: a role that may change a table need not be able
//! to make one, and what lies beside the scripts is found by whoever reads them. Where the file cannot
//! be written, `apply` warns and goes on: batches may always run again, and a reviewed folder may lie
//! where nobody can write. A record that is there and cannot be read is another matter, and refused.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::folder::{named, open};
use crate::files::{Directory, Draft};
use crate::prepare::Blocked;

/// A batch: the place of its part, and its own within that, both from 1.
pub(in crate::run) type Place = (usize, usize);

/// What was applied of a folder.
#[derive(Debug)]
pub struct Journal {
    folder: Directory,
    /// The seal of the manifest that it belongs to.
    seal: String,
    /// The last batch that is known to be committed: its part and its place there, from 1.
    pub through: Option<(usize, usize)>,
    /// Rows of all batches up to there.
    pub rows: u64,
    /// The batch that was about to be committed, and its transaction.
    doubt: Option<Line>,
    /// To be written to; nothing if it cannot be, or is not yet.
    file: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct Heading {
    version: u32,
    manifest: String,
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    part: usize,
    batch: usize,
    rows: u64,
    transaction: String,
    committed: bool,
}

impl Journal {
    /// The file's name.
    pub const FILE: &'static str = "applied.jsonl";

    /// Reads what there is.
    pub(in crate::run) fn read(folder: &Directory, seal: &str) -> Result<Journal, Blocked> {
        let (folder, seal) = (folder.clone(), seal.to_owned());
        let mut journal = Journal { folder, seal, through: None, rows: 0, doubt: None, file: None };
        if !journal.folder.has(Journal::FILE) {
            return Ok(journal);
        }
        let file = open(&journal.folder, Journal::FILE)?;
        let mut lines = BufReader::new(file).split(b'\n');
        let heading = lines.next().and_then(Result::ok);
        let heading = heading.and_then(|line| serde_json::from_slice::<Heading>(&line).ok());
        if !heading.is_some_and(|heading| heading.version == 1 && heading.manifest == journal.seal)
        {
            let message = format!("{} is not the record of this repair", Journal::FILE);
            let hint = "It says which batches were applied. Remove it, and every batch runs again under its guards.";
            return Err(Blocked::new(message).with_hint(hint));
        }
        for line in lines {
            let line = line.map_err(|error| Blocked::io(&journal.path(), &error))?;
            // One that was cut off in the middle says nothing: its batch is not known to be committed.
            if let Ok(line) = serde_json::from_slice(&line) {
                journal.take(line);
            }
        }
        Ok(journal)
    }

    fn path(&self) -> PathBuf {
        self.folder.path_of(Journal::FILE)
    }

    fn take(&mut self, line: Line) {
        let place = (line.part, line.batch);
        if self.has(place) {
            return;
        }
        if line.committed {
            self.through = Some(place);
            self.rows += line.rows;
            self.doubt = None;
        } else {
            self.doubt = Some(line);
        }
    }

    /// Whether a batch is known to be committed.
    pub(in crate::run) fn has(&self, place: Place) -> bool {
        self.through.is_some_and(|through| place <= through)
    }

    /// The transaction of a batch that may have been committed.
    pub(in crate::run) fn doubt(&self, place: Place) -> Option<&str> {
        let doubt = self.doubt.as_ref().filter(|line| (line.part, line.batch) == place);
        doubt.map(|line| line.transaction.as_str())
    }

    /// Makes it ready to be written to.
    pub(in crate::run) fn begin(&mut self) -> Result<(), Blocked> {
        let file = self.open().map_err(|blocked| self.unwritten(blocked))?;
        self.file = Some(file);
        Ok(())
    }

    fn open(&self) -> Result<File, Blocked> {
        let at_path = |error: io::Error| Blocked::io(&self.path(), &error);
        if !self.folder.has(Journal::FILE) {
            // It is whole when it gets its name.
            let draft = Draft::file(&self.folder, ".applied-").map_err(named)?;
            let heading = Heading { version: 1, manifest: self.seal.clone() };
            let heading = serde_json::to_string(&heading).map_err(|error| at_path(error.into()))?;
            let mut file = draft.open().map_err(at_path)?;
            let written = writeln!(file, "{heading}").and_then(|()| file.sync_all());
            written.map_err(at_path)?;
            match draft.place_new(Journal::FILE) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(named(error)),
                // Another process may have been faster.
                _ => {}
            }
            self.folder.sync().map_err(named)?;
        }
        let mut file = self.folder.append(Journal::FILE).map_err(named)?;
        let mut last = [0];
        file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(at_path)?;
        if last != *b"\n" {
            // What comes behind a line that was cut off begins a line of its own.
            file.write_all(b"\n").map_err(at_path)?;
        }
        Ok(file)
    }

    fn unwritten(&self, blocked: Blocked) -> Blocked {
        let message = format!("what is applied cannot be written down: {}", blocked.message);
        Blocked::new(message).with_hint("Started again it would run every batch again that is not written down, under its guards.")
    }

    /// Writes down that a batch is about to be committed.
    pub(in crate::run) fn committing(
        &mut self,
        (part, batch): Place,
        rows: u64,
        transaction: String,
    ) -> Result<(), Blocked> {
        let line = Line { part, batch, rows, transaction, committed: false };
        let written = self.write(&line);
        self.doubt = Some(line);
        written
    }

    /// Writes down that the batch in doubt was committed.
    pub(in crate::run) fn committed(&mut self) -> Result<(), Blocked> {
        let Some(line) = self.doubt.take() else { return Ok(()) };
        let line = Line { committed: true, ..line };
        let written = self.write(&line);
        self.take(line);
        written
    }

    /// The batch in doubt was not committed.
    pub(in crate::run) fn forget(&mut self) {
        self.doubt = None;
    }

    fn write(&mut self, line: &Line) -> Result<(), Blocked> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = serde_json::to_string(line)
            .map_err(io::Error::from)
            .and_then(|text| file.write_all(format!("{text}\n").as_bytes()))
            // A COMMIT that is not written down before would be forgotten with the machine.
            .and_then(|()| if line.committed { Ok(()) } else { file.sync_data() });
        written.map_err(|error| {
            self.file = None;
            self.unwritten(Blocked::io(&self.path(), &error))
        })
    }
}
