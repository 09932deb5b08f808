//! Ranges that were thought to stand on one side only, compared again: by then the other side may have
//! come by, with any number of rows.

use super::context::Context;
use super::mapping::MappingState;
use super::task::Task;
use crate::chunks::MOST_GIVEN_UP;
use crate::compare::{Compared, Item};
use crate::row::{Bound, KeyRange};

impl MappingState {
    /// A range that was thought to be one-sided was compared again. What it is now is settled key by
    /// key, or as a range by itself.
    pub(crate) fn rescanned(
        &mut self,
        range: KeyRange,
        compared: Compared,
        context: &mut Context<'_>,
    ) {
        self.given_up = 0;
        for item in self.book(range, compared) {
            match item {
                Item::Key(suspected, home) => self.suspect(suspected, home, context),
                Item::Lone(piece) => self.suspect_range(piece, None, context),
            }
        }
    }

    /// It is known where to cut a range that was too much at once. Where it cannot be cut, it may take
    /// as long as any statement.
    pub(crate) fn halved(
        &mut self,
        (range, rows, least, reason): (KeyRange, u64, u64, &str),
        found: Option<(Bound, u64)>,
        context: &mut Context<'_>,
    ) {
        let Some((bound, before)) = found else {
            if least > 1 {
                self.tasks.push_front(Task::Rescan { range, rows, smallest: true });
            } else {
                // A row that cannot be read says nothing of the next.
                self.account.undecided(&range, rows, reason, context);
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
    pub(crate) fn not_compared(
        &mut self,
        range: &KeyRange,
        rows: u64,
        reason: &str,
        context: &mut Context<'_>,
    ) -> bool {
        self.account.undecided(range, rows, reason, context);
        self.given_up += 1;
        self.given_up >= MOST_GIVEN_UP
    }
}
