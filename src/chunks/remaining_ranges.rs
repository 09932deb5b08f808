//! What is left to cut: the rest behind the last chunk, and ranges that are scanned after it.

use std::collections::VecDeque;

use crate::row::{Bound, KeyRange, VerifiedBy};

/// A range that is scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScanRange {
    pub(crate) range: KeyRange,
    /// The estimated rows.
    pub(crate) rows: u64,
    /// The run that last verified it.
    pub(crate) verified: Option<VerifiedBy>,
}

/// What is left to cut.
#[derive(Debug)]
pub(crate) struct Remaining {
    /// The rest of the range that is being scanned.
    pub(crate) rest: Option<KeyRange>,
    /// The estimated rows of that range, 0 if unknown, and the rows that were cut off it.
    rest_rows: (u64, u64),
    later: VecDeque<ScanRange>,
    /// The run that last verified the range that is being scanned.
    pub(crate) verified: Option<VerifiedBy>,
}

impl Remaining {
    /// Returns all keys.
    pub(crate) fn everything() -> Remaining {
        let rest = Some(KeyRange::everything());
        Remaining { rest, rest_rows: (0, 0), later: VecDeque::new(), verified: None }
    }

    /// Returns these ranges, to be scanned one after the other.
    pub(crate) fn of(ranges: impl IntoIterator<Item = ScanRange>) -> Remaining {
        let later = ranges.into_iter().collect();
        Remaining { rest: None, rest_rows: (0, 0), later, verified: None }
    }

    /// Begins the next range, if there is one. Returns the key after which it begins.
    pub(crate) fn begin_next(&mut self) -> Option<Option<Bound>> {
        let ScanRange { range, rows, verified } = self.later.pop_front()?;
        let after = range.after.clone();
        (self.rest, self.rest_rows, self.verified) = (Some(range), (rows, 0), verified);
        Some(after)
    }

    /// Sets the rest behind a chunk with its estimated rows.
    pub(crate) fn cut_off(&mut self, rest: KeyRange, rows: u64) {
        self.rest = Some(rest);
        self.rest_rows.1 += rows;
    }

    /// Returns the estimated rows of the rest. Without statistics they are as many as were cut off: an
    /// estimate of one half does not take a beginning for the whole.
    pub(crate) fn rest_rows(&self) -> u64 {
        match self.rest_rows {
            (0, cut) => cut,
            (rows, cut) => rows.saturating_sub(cut),
        }
        .max(1)
    }

    /// Sets the estimated rows of the rest.
    pub(crate) fn set_rows(&mut self, rows: u64) {
        self.rest_rows = (rows, 0);
    }

    /// Counts rows of the rest that were compared by a table scan.
    pub(crate) fn add_scanned(&mut self, rows: u64) {
        self.rest_rows.1 += rows;
    }

    /// Removes and returns what is left, each range with its estimated rows; those of the rest are
    /// given.
    pub(crate) fn take_all(&mut self, rest_rows: u64) -> Vec<(KeyRange, u64)> {
        let rest = self.rest.take().map(|rest| (rest, rest_rows));
        let later = self.later.drain(..).map(|later| (later.range, later.rows));
        rest.into_iter().chain(later).collect()
    }

    /// Returns whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_none() && self.later.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_cut_off_or_scanned_are_not_left() {
        let mut remaining = Remaining::everything();
        remaining.set_rows(100);
        remaining.cut_off(KeyRange::everything(), 30);
        remaining.add_scanned(20);
        assert_eq!(remaining.rest_rows(), 50);
        remaining.add_scanned(70);
        assert_eq!(remaining.rest_rows(), 1);
    }
}
