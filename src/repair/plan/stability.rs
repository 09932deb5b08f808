//! Which rows of a range were stable: those that the second read finds as the first one did.
//!
//! A run reports a range by its bounds, and rows may have been added to it since: a row whose write to
//! the other side is under way is no difference. So a range is read twice, with the time in between for
//! which a difference must not change. Until the second read the hashes of its rows are in a temporary
//! file; memory holds those of one part of the range.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

use super::spool::spool_problem;
use crate::files::unnamed;
use crate::problem::Problem;
use crate::row::Fingerprint;

/// Records the rows of the first read.
pub(crate) struct FirstRead(BufWriter<File>);

/// Returns the rows of the first read during the second one.
pub(crate) struct FirstReadRows(BufReader<File>);

impl FirstRead {
    /// Begins a record.
    pub(crate) fn new() -> Result<FirstRead, Problem> {
        Ok(FirstRead(BufWriter::with_capacity(1 << 16, unnamed().map_err(spool_problem)?)))
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Fingerprint) -> Result<(), Problem> {
        self.0.write_all(&row.to_bytes()).map_err(spool_problem)
    }

    /// Ends the first read.
    pub(crate) fn finish(self) -> Result<FirstReadRows, Problem> {
        let mut file = self.0.into_inner().map_err(spool_problem)?;
        file.rewind().map_err(spool_problem)?;
        Ok(FirstReadRows(BufReader::with_capacity(1 << 16, file)))
    }
}

impl FirstReadRows {
    /// Returns the next rows, in the order in which they were added.
    pub(crate) fn next(&mut self, rows: usize) -> Result<HashSet<Fingerprint>, Problem> {
        let mut bytes = [0; 16];
        let mut read = |_| {
            self.0.read_exact(&mut bytes).map_err(spool_problem)?;
            Ok(Fingerprint::from_bytes(bytes))
        };
        (0..rows).map(&mut read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_range_by_range() {
        let row = |number: u8| Fingerprint::from_bytes([number; 16]);
        let mut first = FirstRead::new().unwrap();
        (1..=5).for_each(|number| first.push(row(number)).unwrap());
        let mut rows = first.finish().unwrap();
        assert_eq!(rows.next(2).unwrap(), HashSet::from([row(1), row(2)]));
        assert_eq!(rows.next(0).unwrap(), HashSet::new());
        assert_eq!(rows.next(3).unwrap(), HashSet::from([row(3), row(4), row(5)]));
        assert!(rows.next(1).is_err());
    }
}
