//! What is left to cut: the rest behind the last chunk, and stretches that come later, in an order of
//! their own.

use std::collections::VecDeque;

use crate::row::{Bound, KeyRange, VerifiedBy};

/// A stretch that is scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Later {
    pub(crate) range: KeyRange,
    /// About how many rows it has.
    pub(crate) rows: u64,
    /// The run that last verified it.
    pub(crate) verified: Option<VerifiedBy>,
}

/// What is left to cut.
#[derive(Debug)]
pub(crate) struct Ahead {
    pub(crate) rest: Option<KeyRange>,
    /// About how many rows the stretch of the rest had, if anybody knows, and how many were cut off it.
    rest_rows: (u64, u64),
    later: VecDeque<Later>,
    /// The run that last verified the stretch that the rest belongs to.
    pub(crate) verified: Option<VerifiedBy>,
}

impl Ahead {
    /// Every key there is.
    pub(crate) fn everything() -> Ahead {
        let rest = Some(KeyRange::everything());
        Ahead { rest, rest_rows: (0, 0), later: VecDeque::new(), verified: None }
    }

    /// These stretches, one after the other.
    pub(crate) fn of(stretches: impl IntoIterator<Item = Later>) -> Ahead {
        let later = stretches.into_iter().collect();
        Ahead { rest: None, rest_rows: (0, 0), later, verified: None }
    }

    /// Begins with the next stretch, if there is one; gives the key that it begins behind.
    pub(crate) fn step(&mut self) -> Option<Option<Bound>> {
        let Later { range, rows, verified } = self.later.pop_front()?;
        let after = range.after.clone();
        (self.rest, self.rest_rows, self.verified) = (Some(range), (rows, 0), verified);
        Some(after)
    }

    /// The rest begins behind a chunk of about so many rows.
    pub(crate) fn cut_off(&mut self, rest: KeyRange, rows: u64) {
        self.rest = Some(rest);
        self.rest_rows.1 += rows;
    }

    /// About how many rows the rest has. Where nobody knows, as many as were cut off: half is a guess
    /// that does not call a beginning the whole.
    pub(crate) fn rest_rows(&self) -> u64 {
        match self.rest_rows {
            (0, cut) => cut,
            (rows, cut) => rows.saturating_sub(cut),
        }
        .max(1)
    }

    /// About so many rows are left to cut, if anybody knows.
    pub(crate) fn has(&mut self, rows: u64) {
        self.rest_rows = (rows, 0);
    }

    /// So many rows of the rest were compared in another way.
    pub(crate) fn passed(&mut self, rows: u64) {
        self.rest_rows.1 += rows;
    }

    /// Takes what is left, each with about how many rows it has; of the rest that is said.
    pub(crate) fn take_all(&mut self, rest_rows: u64) -> Vec<(KeyRange, u64)> {
        let rest = self.rest.take().map(|rest| (rest, rest_rows));
        let later = self.later.drain(..).map(|later| (later.range, later.rows));
        rest.into_iter().chain(later).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_none() && self.later.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_or_compared_in_another_way_is_not_left() {
        let mut ahead = Ahead::everything();
        ahead.has(100);
        ahead.cut_off(KeyRange::everything(), 30);
        ahead.passed(20);
        assert_eq!(ahead.rest_rows(), 50);
        ahead.passed(70);
        assert_eq!(ahead.rest_rows(), 1);
    }
}
