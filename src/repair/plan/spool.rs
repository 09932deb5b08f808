//! Changes in a temporary file: written as they are built, and read back one by one, or by their number.
//! Memory holds one batch, however many changes there are.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};

use super::draft_facts::{DraftFacts, IndexValue};
use crate::files::unnamed;
use crate::problem::Problem;
use crate::repair::RowChange;
use crate::spec::escape_json;

/// Writes the changes of one mapping and one operation.
pub(crate) struct SpoolWriter {
    out: BufWriter<File>,
    /// How many changes were written.
    pub(crate) rows: u64,
    /// The columns that the changes set, as indexes into the images.
    pub(crate) set: BTreeSet<usize>,
    /// What the server reported of the changes.
    pub(crate) facts: DraftFacts,
}

/// Reads the changes of one mapping and one operation.
pub(crate) struct Spool {
    reader: BufReader<File>,
    /// Where each line begins, if changes are read by number.
    starts: Vec<u64>,
    /// How many changes there are.
    pub(crate) rows: u64,
    /// The columns that the changes set, as indexes into the images.
    pub(crate) set: BTreeSet<usize>,
    /// What the server reported of the changes.
    pub(crate) facts: DraftFacts,
}

/// Makes a problem of an error of the temporary file.
pub(crate) fn spool_problem(error: impl std::fmt::Display) -> Problem {
    Problem::new(format!("the temporary file of changes cannot be used: {error}"))
        .with_hint("TMPDIR names the folder that it lies in.")
}

impl SpoolWriter {
    /// Creates a file.
    pub(crate) fn new() -> Result<SpoolWriter, Problem> {
        let out = BufWriter::with_capacity(1 << 16, unnamed().map_err(spool_problem)?);
        Ok(SpoolWriter { out, rows: 0, set: BTreeSet::new(), facts: DraftFacts::default() })
    }

    /// Writes a change.
    pub(crate) fn push(&mut self, change: &RowChange) -> Result<(), Problem> {
        let line = serde_json::to_string(change).map_err(spool_problem)?;
        self.rows += 1;
        writeln!(self.out, "{}", escape_json(&line)).map_err(spool_problem)
    }

    /// Returns the number that the next change will have.
    pub(crate) fn next_row(&self) -> usize {
        usize::try_from(self.rows).unwrap_or(usize::MAX)
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> Result<Spool, Problem> {
        let SpoolWriter { out, rows, set, facts } = self;
        let file = out.into_inner().map_err(spool_problem)?;
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Spool { reader, starts: Vec::new(), rows, set, facts })
    }
}

impl Spool {
    /// Passes each change to `take` in the order in which they were built, with its values in opaque
    /// indexes.
    pub(crate) fn each(
        &mut self,
        mut take: impl FnMut(&RowChange, &[IndexValue]),
    ) -> Result<(), Problem> {
        self.rewind()?;
        let (mut text, mut row) = (String::new(), 0);
        while let Some(change) = self.next(&mut text)? {
            take(&change, self.facts.index_values_of(row, self.rows));
            row += 1;
        }
        Ok(())
    }

    /// Passes each change to `take`, and notes where it is: afterwards changes can be read by number.
    pub(crate) fn each_indexed(
        &mut self,
        mut take: impl FnMut(&RowChange, &[IndexValue]),
    ) -> Result<(), Problem> {
        self.rewind()?;
        let (mut text, mut start) = (String::new(), 0);
        while let Some(change) = self.next(&mut text)? {
            take(&change, self.facts.index_values_of(self.starts.len(), self.rows));
            self.starts.push(start);
            start += text.len() as u64;
        }
        Ok(())
    }

    /// Removes changes by number.
    pub(crate) fn remove(&mut self, removed: &BTreeSet<usize>) -> Result<(), Problem> {
        let mut kept = SpoolWriter::new()?;
        (kept.set, kept.facts.limits) = (self.set.clone(), self.facts.limits.clone());
        self.rewind()?;
        let (mut text, mut row) = (String::new(), 0);
        while let Some(change) = self.next(&mut text)? {
            if !removed.contains(&row) {
                let new_row = kept.next_row();
                let differing = self.facts.differing.remove(&row);
                kept.facts.differing.extend(differing.map(|pairs| (new_row, pairs)));
                kept.push(&change)?;
                kept.facts.index_values.extend(self.facts.index_values_of(row, self.rows));
            }
            row += 1;
        }
        *self = kept.finish()?;
        Ok(())
    }

    /// Returns to the first change.
    pub(crate) fn rewind(&mut self) -> Result<(), Problem> {
        self.reader.rewind().map_err(spool_problem)
    }

    /// Reads the next change, and its line into `text`.
    pub(crate) fn next(&mut self, text: &mut String) -> Result<Option<RowChange>, Problem> {
        text.clear();
        if self.reader.read_line(text).map_err(spool_problem)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(text).map(Some).map_err(spool_problem)
    }

    /// Reads a change by its number, once `each_indexed` has read all of them.
    pub(crate) fn at(&mut self, row: u64, text: &mut String) -> Result<Option<RowChange>, Problem> {
        let start = usize::try_from(row).ok().and_then(|row| self.starts.get(row));
        let start = *start.ok_or_else(|| spool_problem("a change is missing"))?;
        self.reader.seek(SeekFrom::Start(start)).map_err(spool_problem)?;
        self.next(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: &str) -> RowChange {
        RowChange { old: None, new: Some(vec![Some(id.to_owned())]) }
    }

    fn spool(ids: &[&str]) -> Spool {
        let mut writer = SpoolWriter::new().unwrap();
        for (row, id) in ids.iter().enumerate() {
            writer.push(&change(id)).unwrap();
            writer.facts.index_values.push([Some(row as i64), None]);
            writer.facts.differing.insert(row, vec![row]);
        }
        writer.finish().unwrap()
    }

    #[test]
    fn changes_are_read_in_order_and_by_number() {
        let mut spool = spool(&["a", "b\nc", "d"]);
        let mut seen = Vec::new();
        spool.each_indexed(|change, values| seen.push((change.clone(), values.to_vec()))).unwrap();
        assert_eq!(seen[1], (change("b\nc"), vec![[Some(1), None]]));
        assert_eq!(spool.at(2, &mut String::new()).unwrap(), Some(change("d")));
        assert_eq!(spool.at(0, &mut String::new()).unwrap(), Some(change("a")));
        assert!(spool.at(3, &mut String::new()).is_err());
    }

    #[test]
    fn facts_stay_with_their_change_when_others_are_removed() {
        let mut spool = spool(&["a", "b", "c"]);
        spool.remove(&BTreeSet::from([1])).unwrap();
        let mut seen = Vec::new();
        spool.each(|change, values| seen.push((change.clone(), values.to_vec()))).unwrap();
        let values = |row: i64| vec![[Some(row), None]];
        assert_eq!(seen, [(change("a"), values(0)), (change("c"), values(2))]);
        let differing: Vec<_> = spool.facts.differing.into_iter().collect();
        assert_eq!(differing, [(0, vec![0]), (1, vec![2])]);
    }
}
