//! The books of a mapping: every row of each side is counted once, and under one heading.
//!
//! `read` is counted where rows are read, the headings where rows are judged, so the two can
//! disagree; if they do, the run is incomplete. That is checked in release builds too.

use serde::{Deserialize, Serialize};

use super::{Disposition, DivergenceKind};
use crate::schema::{BySide, Side};

/// One side's books, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCounts {
    /// Rows found: the scan's count, corrected by the last look at each suspect.
    pub read: u64,
    /// Rows whose counterpart agrees.
    pub matched: u64,
    /// Rows whose counterpart differs.
    pub mismatch: u64,
    /// Rows without a counterpart.
    pub only: u64,
    /// Rows of keys that kept changing.
    pub unsettled: u64,
    /// Rows under an agreed exception.
    pub accepted: u64,
    /// Rows of keys that more than one row of a side has.
    pub duplicate: u64,
    /// Rows with a NULL in their key.
    pub null_key: u64,
    /// Rows that were counted but could not be judged.
    pub undecided: u64,
}

impl SideCounts {
    /// Whether what was read is what was judged.
    pub fn balance(&self) -> bool {
        let SideCounts {
            read,
            matched,
            mismatch,
            only,
            unsettled,
            accepted,
            duplicate,
            null_key,
            undecided,
        } = *self;
        read == matched + mismatch + only + unsettled + accepted + duplicate + null_key + undecided
    }
}

/// What a mapping's run has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingCounts {
    /// The books of each side.
    pub books: BySide<SideCounts>,
    /// Suspects that agreed at a later look.
    pub healed: u64,
    /// Keys confirmed as standing on the source only.
    pub only_in_source: u64,
    /// Keys confirmed as standing on the target only.
    pub only_in_target: u64,
    /// Keys confirmed as different.
    pub mismatch: u64,
    /// Keys confirmed as duplicate, and sides with NULL keys.
    pub key_faults: u64,
    /// Rows that kept changing.
    pub unsettled: u64,
    /// Rows under an agreed exception.
    pub accepted: u64,
}

impl MappingCounts {
    /// Rows of clean ranges and matched keys.
    pub fn matched(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.books[side].read += rows[side];
            self.books[side].matched += rows[side];
        }
    }

    /// Rows read whose judgement is still open; [`MappingCounts::corrected`] and one of the verdicts follow.
    pub fn read(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.books[side].read += rows[side];
        }
    }

    /// The last look at a suspect found other counts than the scan had booked.
    pub fn corrected(&mut self, booked: BySide<u64>, found: BySide<u64>) {
        for side in Side::BOTH {
            let read = &mut self.books[side].read;
            *read = read.saturating_sub(booked[side]) + found[side];
        }
    }

    /// A suspect healed, with these rows.
    pub fn healed(&mut self, rows: BySide<u64>) {
        self.healed += 1;
        for side in Side::BOTH {
            self.books[side].matched += rows[side];
        }
    }

    /// A suspect turned out to be no difference, with these rows: nothing healed.
    pub fn cleared(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.books[side].matched += rows[side];
        }
    }

    /// A suspect stands, with these rows on each side.
    pub fn standing(&mut self, kind: DivergenceKind, disposition: Disposition, rows: BySide<u64>) {
        let most = rows.source.max(rows.target);
        match (disposition, kind) {
            (Disposition::Unsettled, _) => self.unsettled += most,
            (Disposition::Accepted, _) => self.accepted += most,
            (_, DivergenceKind::OnlyInSource) => self.only_in_source += rows.source,
            (_, DivergenceKind::OnlyInTarget) => self.only_in_target += rows.target,
            (_, DivergenceKind::Mismatch) => self.mismatch += 1,
            (_, DivergenceKind::DuplicateKey | DivergenceKind::NullKey) => self.key_faults += 1,
        }
        for side in Side::BOTH {
            let books = &mut self.books[side];
            let heading = match (disposition, kind) {
                (Disposition::Unsettled, _) => &mut books.unsettled,
                (Disposition::Accepted, _) => &mut books.accepted,
                (_, DivergenceKind::OnlyInSource | DivergenceKind::OnlyInTarget) => &mut books.only,
                (_, DivergenceKind::Mismatch) => &mut books.mismatch,
                (_, DivergenceKind::DuplicateKey) => &mut books.duplicate,
                (_, DivergenceKind::NullKey) => &mut books.null_key,
            };
            *heading += rows[side];
        }
    }

    /// Rows that were read but cannot be judged.
    pub fn undecided(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.books[side].undecided += rows[side];
        }
    }

    /// Whether the books of both sides balance.
    pub fn balances(&self) -> bool {
        self.books.all(SideCounts::balance)
    }

    /// Whether confirmed divergence exists.
    pub fn diverged(&self) -> bool {
        self.only_in_source + self.only_in_target + self.mismatch + self.key_faults > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: BySide<u64> = BySide { source: 1, target: 1 };

    #[test]
    fn every_way_a_suspect_can_end_keeps_the_books_in_balance() {
        let mut tally = MappingCounts::default();
        tally.matched(BySide { source: 10, target: 10 });
        // six suspects, booked by the scan as one row on each side
        tally.read(BySide { source: 6, target: 6 });
        tally.healed(BOTH);
        tally.cleared(BOTH);
        tally.standing(DivergenceKind::Mismatch, Disposition::Confirmed, BOTH);
        tally.standing(DivergenceKind::Mismatch, Disposition::Unsettled, BOTH);
        tally.undecided(BOTH);
        let gone = BySide { source: 1, target: 0 };
        tally.corrected(BOTH, gone);
        tally.standing(DivergenceKind::OnlyInSource, Disposition::Confirmed, gone);
        assert!(tally.balances(), "{tally:?}");
        assert_eq!((tally.books.source.read, tally.books.target.read), (16, 15));
        assert_eq!((tally.healed, tally.books.source.matched), (1, 12));
        assert!(tally.diverged());
    }

    #[test]
    fn what_is_accepted_is_counted_and_does_not_diverge() {
        let mut tally = MappingCounts::default();
        tally.read(BySide { source: 4, target: 1 });
        tally.standing(DivergenceKind::Mismatch, Disposition::Accepted, BOTH);
        let range = BySide { source: 3, target: 0 };
        tally.standing(DivergenceKind::OnlyInSource, Disposition::Accepted, range);
        assert!(tally.balances() && !tally.diverged());
        assert_eq!((tally.accepted, tally.books.source.accepted), (4, 4));
    }

    #[test]
    fn a_row_that_is_judged_but_was_never_read_breaks_the_balance() {
        let mut tally = MappingCounts::default();
        tally.healed(BOTH);
        assert!(!tally.balances());
    }
}
