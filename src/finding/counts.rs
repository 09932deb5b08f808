//! The row counts of a mapping: every row of each side is counted once, in one of several counters.
//!
//! `read` is counted where rows are read, the other counters where rows are judged, so that a lost
//! row shows: if `read` is not the sum of the others, the run is incomplete. Release builds check
//! it too.

use serde::{Deserialize, Serialize};

use super::{Disposition, DivergenceKind};
use crate::schema::{BySide, Side};

/// One side's row counts, `books` in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCounts {
    /// Rows found: the scan's count, corrected by the last recheck of each candidate.
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
    /// Returns whether `read` is the sum of the others.
    pub fn is_balanced(&self) -> bool {
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

/// The counts of a mapping's run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingCounts {
    /// Row counts of each side.
    pub books: BySide<SideCounts>,
    /// Candidates that agreed when rechecked.
    pub healed: u64,
    /// Keys confirmed as on the source only.
    pub only_in_source: u64,
    /// Keys confirmed as on the target only.
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
    /// Adds rows of clean ranges and matched keys.
    pub fn add_matched(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.books[side].read += rows[side];
            self.books[side].matched += rows[side];
        }
    }

    /// Adds rows that are read and not judged yet.
    pub fn add_read(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.books[side].read += rows[side];
        }
    }

    /// Replaces the rows that the scan counted for a candidate by those of its last recheck.
    pub fn correct_read(&mut self, counted: BySide<u64>, found: BySide<u64>) {
        for side in Side::BOTH {
            let read = &mut self.books[side].read;
            *read = read.saturating_sub(counted[side]) + found[side];
        }
    }

    /// Adds a candidate that healed, with its rows.
    pub fn add_healed(&mut self, rows: BySide<u64>) {
        self.healed += 1;
        for side in Side::BOTH {
            self.books[side].matched += rows[side];
        }
    }

    /// Adds a candidate whose rows differ within the tolerance: they match, and nothing healed.
    pub fn add_within_tolerance(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.books[side].matched += rows[side];
        }
    }

    /// Adds a candidate that differs, with its rows on each side.
    pub fn add_differing(
        &mut self,
        kind: DivergenceKind,
        disposition: Disposition,
        rows: BySide<u64>,
    ) {
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
            let counter = match (disposition, kind) {
                (Disposition::Unsettled, _) => &mut books.unsettled,
                (Disposition::Accepted, _) => &mut books.accepted,
                (_, DivergenceKind::OnlyInSource | DivergenceKind::OnlyInTarget) => &mut books.only,
                (_, DivergenceKind::Mismatch) => &mut books.mismatch,
                (_, DivergenceKind::DuplicateKey) => &mut books.duplicate,
                (_, DivergenceKind::NullKey) => &mut books.null_key,
            };
            *counter += rows[side];
        }
    }

    /// Adds rows that were read and cannot be judged.
    pub fn add_undecided(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.books[side].undecided += rows[side];
        }
    }

    /// Returns whether the counts of both sides are balanced.
    pub fn is_balanced(&self) -> bool {
        self.books.all(SideCounts::is_balanced)
    }

    /// Returns whether there is a confirmed difference.
    pub fn has_diverged(&self) -> bool {
        self.only_in_source + self.only_in_target + self.mismatch + self.key_faults > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: BySide<u64> = BySide { source: 1, target: 1 };

    #[test]
    fn every_outcome_of_a_candidate_keeps_the_counts_balanced() {
        let mut counts = MappingCounts::default();
        counts.add_matched(BySide { source: 10, target: 10 });
        // Six candidates, counted by the scan as one row on each side.
        counts.add_read(BySide { source: 6, target: 6 });
        counts.add_healed(BOTH);
        counts.add_within_tolerance(BOTH);
        counts.add_differing(DivergenceKind::Mismatch, Disposition::Confirmed, BOTH);
        counts.add_differing(DivergenceKind::Mismatch, Disposition::Unsettled, BOTH);
        counts.add_undecided(BOTH);
        let gone = BySide { source: 1, target: 0 };
        counts.correct_read(BOTH, gone);
        counts.add_differing(DivergenceKind::OnlyInSource, Disposition::Confirmed, gone);
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!((counts.books.source.read, counts.books.target.read), (16, 15));
        assert_eq!((counts.healed, counts.books.source.matched), (1, 12));
        assert!(counts.has_diverged());
    }

    #[test]
    fn accepted_rows_are_counted_and_do_not_diverge() {
        let mut counts = MappingCounts::default();
        counts.add_read(BySide { source: 4, target: 1 });
        counts.add_differing(DivergenceKind::Mismatch, Disposition::Accepted, BOTH);
        let range = BySide { source: 3, target: 0 };
        counts.add_differing(DivergenceKind::OnlyInSource, Disposition::Accepted, range);
        assert!(counts.is_balanced() && !counts.has_diverged());
        assert_eq!((counts.accepted, counts.books.source.accepted), (4, 4));
    }

    #[test]
    fn a_row_that_was_never_read_breaks_the_balance() {
        let mut counts = MappingCounts::default();
        counts.add_healed(BOTH);
        assert!(!counts.is_balanced());
    }
}
