//! The changes of a script in JSON Lines, as `apply` reads them.
//!
//! ```text
//! {"version":1,"rows":3,"stages":[…]}       what the changes have in common
//! {"batch":2}                               how many changes follow
//! {"old":[…],"new":[…]}
//! {"stage":1,"old":[…],"new":[…]}           of another stage than the first
//! {"batch":1}
//! …
//! ```

use std::io::{self, BufRead, Lines};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::sealed_file::{SealedFile, SealedFileReader};
use crate::problem::Problem;
use crate::repair::{ChangeShape, Image, RowChange};

/// The first line.
#[derive(Serialize, Deserialize)]
pub(crate) struct ChangeFileHeader {
    /// The version of the format.
    pub(crate) version: u32,
    /// How many changes there are.
    pub(crate) rows: u64,
    /// What the changes of each stage have in common.
    pub(crate) stages: Vec<ChangeShape>,
}

/// The line before a batch.
#[derive(Serialize, Deserialize)]
pub(crate) struct BatchHeader {
    /// How many changes the batch has.
    pub(crate) batch: usize,
}

/// A change. The stage is omitted for the first one.
#[derive(Deserialize)]
struct ChangeLine {
    #[serde(default)]
    stage: usize,
    old: Option<Image>,
    new: Option<Image>,
}

/// Reads a change file batch by batch.
pub(crate) struct ChangeFileReader<'v> {
    /// The first line.
    pub(crate) header: ChangeFileHeader,
    lines: Lines<SealedFileReader<'v>>,
    sealed: &'v SealedFile,
}

impl ChangeFileReader<'_> {
    /// Opens a file and reads its first line.
    pub(crate) fn open(sealed: &SealedFile) -> Result<ChangeFileReader<'_>, Problem> {
        let mut lines = sealed.read()?.lines();
        let header = parse_line(sealed, lines.next())?;
        Ok(ChangeFileReader { header, lines, sealed })
    }

    /// Reads the changes of the next batch, by stage; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Vec<RowChange>>>, Problem> {
        let unreadable = || self.sealed.unreadable(None);
        let Some(first) = self.lines.next() else { return Ok(None) };
        let BatchHeader { batch } = parse_line(self.sealed, Some(first))?;
        let mut stages = vec![Vec::new(); self.header.stages.len()];
        for _ in 0..batch {
            let ChangeLine { stage, old, new } = parse_line(self.sealed, self.lines.next())?;
            let change = RowChange { old, new };
            let shape = self.header.stages.get(stage).ok_or_else(unreadable)?;
            if !shape.fits(&change) {
                return Err(unreadable());
            }
            stages[stage].push(change);
        }
        Ok(Some(stages))
    }
}

/// Parses a line.
fn parse_line<T: DeserializeOwned>(
    sealed: &SealedFile,
    line: Option<io::Result<String>>,
) -> Result<T, Problem> {
    let line = line.transpose().map_err(|error| sealed.unreadable(Some(&error)))?;
    let parsed = line.and_then(|line| serde_json::from_str(&line).ok());
    parsed.ok_or_else(|| sealed.unreadable(None))
}
