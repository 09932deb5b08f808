//! Changes on their way: spooled as they are made, read back one by one or in another order, and read
//! by `apply` batch by batch. Memory holds one batch, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Lines, Seek, SeekFrom, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::references::References;
use super::verified::{Blocks, Verified};
use crate::files::unnamed;
use crate::prepare::Blocked;
use crate::repair::{Change, Image, Limits, Shape};
use crate::spec::escape_json;

/// Changes of one mapping and one kind, as they are made.
pub(in crate::run) struct Spool {
    out: BufWriter<File>,
    pub(in crate::run) rows: u64,
    pub(in crate::run) set: BTreeSet<usize>,
    pub(in crate::run) told: ToldValues,
}

/// That the key of a row to insert is taken.
pub(in crate::run) struct Occupied {
    /// By what, as the words behind a number of rows.
    pub(in crate::run) why: String,
    /// Whether the mapping sees the row that has it: then this very repair may delete it.
    pub(in crate::run) seen: bool,
}

/// What the server has told of the rows' values in indexes.
#[derive(Default)]
pub(in crate::run) struct ToldValues {
    /// Row after row, of each such index in turn: the value that a change frees, and that it takes.
    pub(in crate::run) values: Vec<[Option<i64>; 2]>,
    /// What it says of stand-ins.
    pub(in crate::run) limits: Limits,
    /// Rows to insert whose key is taken, by place.
    pub(in crate::run) occupied: BTreeMap<usize, Occupied>,
    /// Pairs in which a row will differ all the same, by the row's place.
    pub(in crate::run) differ: BTreeMap<usize, Vec<usize>>,
    /// What it says of foreign keys.
    pub(in crate::run) references: References,
}

impl ToldValues {
    /// Those of one of so many rows.
    pub(in crate::run) fn of(&self, row: usize, rows: u64) -> &[[Option<i64>; 2]] {
        let width = usize::try_from(rows).ok().and_then(|rows| self.values.len().checked_div(rows));
        let width = width.unwrap_or(0);
        self.values.get(row * width..(row + 1) * width).unwrap_or_default()
    }
}

/// The same when all are made.
pub(in crate::run) struct Spooled {
    reader: BufReader<File>,
    /// Where each line begins, if they are wanted in an order of their own.
    starts: Vec<u64>,
    pub(in crate::run) rows: u64,
    pub(in crate::run) set: BTreeSet<usize>,
    pub(in crate::run) told: ToldValues,
}

pub(in crate::run) fn spool_error(error: impl std::fmt::Display) -> Blocked {
    Blocked::new(format!("the temporary file of changes cannot be used: {error}"))
        .with_hint("TMPDIR names the folder that it lies in.")
}

impl Spool {
    pub(in crate::run) fn new() -> Result<Spool, Blocked> {
        let out = BufWriter::with_capacity(1 << 16, unnamed().map_err(spool_error)?);
        Ok(Spool { out, rows: 0, set: BTreeSet::new(), told: ToldValues::default() })
    }

    pub(in crate::run) fn push(&mut self, change: &Change) -> Result<(), Blocked> {
        let line = serde_json::to_string(change).map_err(spool_error)?;
        self.rows += 1;
        writeln!(self.out, "{}", escape_json(&line)).map_err(spool_error)
    }

    pub(in crate::run) fn finish(self) -> Result<Spooled, Blocked> {
        let Spool { out, rows, set, told } = self;
        let file = out.into_inner().map_err(spool_error)?;
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Spooled { reader, starts: Vec::new(), rows, set, told })
    }
}

impl Spooled {
    /// Passes each change on, in the order in which they were made, with what it has in indexes.
    pub(in crate::run) fn each(
        &mut self,
        mut take: impl FnMut(&Change, &[[Option<i64>; 2]]),
    ) -> Result<(), Blocked> {
        self.rewind()?;
        let (mut text, mut row) = (String::new(), 0);
        while let Some(change) = self.next(&mut text)? {
            take(&change, self.told.of(row, self.rows));
            row += 1;
        }
        Ok(())
    }

    /// The same; afterwards each can be had by its place.
    pub(in crate::run) fn each_placed(
        &mut self,
        mut take: impl FnMut(&Change, &[[Option<i64>; 2]]),
    ) -> Result<(), Blocked> {
        self.rewind()?;
        let (mut text, mut start) = (String::new(), 0);
        while let Some(change) = self.next(&mut text)? {
            take(&change, self.told.of(self.starts.len(), self.rows));
            self.starts.push(start);
            start += text.len() as u64;
        }
        Ok(())
    }

    /// Forgets some of the rows, by place.
    pub(in crate::run) fn forget(&mut self, gone: &BTreeSet<usize>) -> Result<(), Blocked> {
        let mut kept = Spool::new()?;
        (kept.set, kept.told.limits) = (self.set.clone(), self.told.limits.clone());
        self.rewind()?;
        let (mut text, mut row) = (String::new(), 0);
        while let Some(change) = self.next(&mut text)? {
            if !gone.contains(&row) {
                let place = usize::try_from(kept.rows).unwrap_or(usize::MAX);
                kept.told.differ.extend(self.told.differ.remove(&row).map(|pairs| (place, pairs)));
                kept.push(&change)?;
                kept.told.values.extend(self.told.of(row, self.rows));
            }
            row += 1;
        }
        *self = kept.finish()?;
        Ok(())
    }

    pub(in crate::run) fn rewind(&mut self) -> Result<(), Blocked> {
        self.reader.rewind().map_err(spool_error)
    }

    /// The next change and its line.
    pub(in crate::run) fn next(&mut self, text: &mut String) -> Result<Option<Change>, Blocked> {
        text.clear();
        if self.reader.read_line(text).map_err(spool_error)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(text).map(Some).map_err(spool_error)
    }

    /// A change and its line by its place, once `each_placed` has gone over them.
    pub(in crate::run) fn at(
        &mut self,
        place: u64,
        text: &mut String,
    ) -> Result<Option<Change>, Blocked> {
        let start = usize::try_from(place).ok().and_then(|place| self.starts.get(place));
        let start = *start.ok_or_else(|| spool_error("a change is missing"))?;
        self.reader.seek(SeekFrom::Start(start)).map_err(spool_error)?;
        self.next(text)
    }
}

/// The first line of a machine form.
#[derive(Serialize, Deserialize)]
pub(in crate::run) struct Heading {
    pub(in crate::run) version: u32,
    pub(in crate::run) rows: u64,
    pub(in crate::run) stages: Vec<Shape>,
}

/// The line before the changes of a batch: how many they are.
#[derive(Serialize, Deserialize)]
pub(in crate::run) struct BatchLine {
    pub(in crate::run) batch: usize,
}

/// A change of a batch as it is written down. The stage is left out where there is one only.
#[derive(Deserialize)]
struct StagedLine {
    #[serde(default)]
    stage: usize,
    old: Option<Image>,
    new: Option<Image>,
}

/// A machine form, read batch by batch.
pub(in crate::run) struct Changes<'v> {
    pub(in crate::run) heading: Heading,
    lines: Lines<Blocks<'v>>,
    verified: &'v Verified,
}

impl Changes<'_> {
    pub(in crate::run) fn open(verified: &Verified) -> Result<Changes<'_>, Blocked> {
        let mut lines = verified.read()?.lines();
        let heading = line(verified, lines.next())?;
        Ok(Changes { heading, lines, verified })
    }

    /// The changes of the next batch, by stage; nothing at the end.
    pub(in crate::run) fn next(&mut self) -> Result<Option<Vec<Vec<Change>>>, Blocked> {
        let bad = || self.verified.unreadable(None);
        let Some(first) = self.lines.next() else { return Ok(None) };
        let BatchLine { batch } = line(self.verified, Some(first))?;
        let mut stages = vec![Vec::new(); self.heading.stages.len()];
        for _ in 0..batch {
            let StagedLine { stage, old, new } = line(self.verified, self.lines.next())?;
            let change = Change { old, new };
            let shape = self.heading.stages.get(stage).ok_or_else(bad)?;
            if !shape.fits(&change) {
                return Err(bad());
            }
            stages[stage].push(change);
        }
        Ok(Some(stages))
    }
}

/// What a line of a machine form says.
fn line<T: DeserializeOwned>(
    verified: &Verified,
    line: Option<io::Result<String>>,
) -> Result<T, Blocked> {
    let line = line.transpose().map_err(|error| verified.unreadable(Some(&error)))?;
    let said = line.and_then(|line| serde_json::from_str(&line).ok());
    said.ok_or_else(|| verified.unreadable(None))
}
