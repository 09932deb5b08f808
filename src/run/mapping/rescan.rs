//! Ranges that were thought to stand on one side only, compared again: by then the other side may have
//! come by, with any number of rows.

use super::MappingState;
use crate::compare::{Item, RangeComparison};
use crate::row::{Bound, KeyRange};
use crate::run::desk::Desk;
use crate::run::scan::slots::MOST_GIVEN_UP;
use crate::run::work::Task;

impl MappingState {
    /// A range that was thought to be one-sided was compared again. What it is now is settled key by
    /// key, or as a range by itself.
    pub(in crate::run) fn rescanned(
        &mut self,
        range: KeyRange,
        compared: RangeComparison,
        desk: &mut Desk<'_>,
    ) {
        self.given_up = 0;
        for item in self.book(range, compared) {
            match item {
                Item::Key(suspected, home) => self.candidate(suspected, home, desk),
                Item::OneSided(piece) => self.suspect_range(piece, None, desk),
            }
        }
    }

    /// It is known where to cut a range that was too much at once. Where it cannot be cut, it may take
    /// as long as any statement.
    pub(in crate::run) fn halved(
        &mut self,
        (range, rows, least, reason): (KeyRange, u64, u64, &str),
        found: Option<(Bound, u64)>,
        desk: &mut Desk<'_>,
    ) {
        let Some((bound, before)) = found else {
            if least > 1 {
                self.tasks.push_front(Task::Rescan { range, rows, smallest: true });
            } else {
                // A row that cannot be read says nothing of the next.
                self.account.undecided(&range, rows, reason, desk);
            }
            return;
        };
        let (first, second) = range.cut(bound);
        // How many lie behind is a guess: it is no smaller because it was cut.
        self.tasks.push_front(Task::Rescan { range: second, rows, smallest: false });
        self.tasks.push_front(Task::Rescan { range: first, rows: before, smallest: false });
    }

    /// A range that cannot be cut could not be compared again: it is undecided. Tells whether there is no
    /// use in going on.
    pub(in crate::run) fn not_compared(
        &mut self,
        range: &KeyRange,
        rows: u64,
        reason: &str,
        desk: &mut Desk<'_>,
    ) -> bool {
        self.account.undecided(range, rows, reason, desk);
        self.given_up += 1;
        self.given_up >= MOST_GIVEN_UP
    }
}
