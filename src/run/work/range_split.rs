//! Reads a range in one statement, or in several if one takes too long.
//!
//! ```text
//! (──────────────────────────]   took too long: cut in the middle of its rows
//! (────────────](────────────]   each in a transaction of its own, cut again if needed
//! ```
//!
//! A statement holds its snapshot while it runs, and during that time a busy table cannot be vacuumed. The
//! ranges are read at several moments then, like the chunks of a table: a row that moves from one to the
//! other in between is seen twice or not at all, and settled like any row that changes.
//!
//! A range whose statement a standby's replay interrupts is cut too, or read again if it cannot be cut.
//! Each range that was read is progress, and resets the budget of attempts.

use std::time::Duration;

use super::bounds;
use super::task_context::TaskContext;
use crate::chunks::LEAST_ROWS;
use crate::pg::{PgError, Remedy, Retries};
use crate::prepare::SideError;
use crate::row::KeyRange;

/// What is left of a range with its estimated rows.
pub(crate) struct RangeSplit<'h, 'w> {
    context: &'h TaskContext<'w>,
    /// The ranges that are left, the next last.
    left: Vec<(KeyRange, u64)>,
    /// The rows of a range that took too long.
    too_many: u64,
    conflicts: Retries,
    /// How long to wait before the next statement.
    pause: Option<Duration>,
}

impl<'h, 'w> RangeSplit<'h, 'w> {
    pub(crate) fn new(context: &'h TaskContext<'w>, range: &KeyRange, rows: u64) -> Self {
        let (left, conflicts) = (vec![(range.clone(), rows)], Retries::against_conflicts());
        RangeSplit { context, left, too_many: u64::MAX, conflicts, pause: None }
    }

    /// Returns the range that is read next, and the context to read it in.
    pub(crate) async fn next(&mut self) -> Result<Option<(TaskContext<'w>, KeyRange)>, SideError> {
        if let Some(pause) = self.pause.take() {
            tokio::time::sleep(pause).await;
        }
        while let Some((range, rows)) = self.left.last().cloned() {
            if rows < self.too_many || !self.may_be_cut(rows) {
                let context = if self.may_be_cut(rows) {
                    self.context.with_short_timeout()
                } else {
                    *self.context
                };
                return Ok(Some((context, range)));
            }
            let middle = bounds::find_middle(self.context, &range, rows, LEAST_ROWS).await?;
            self.left.pop();
            let Some((bound, before)) = middle else {
                // Few rows, or none that an index distinguishes: the statement may run as long as any.
                self.left.push((range, LEAST_ROWS));
                continue;
            };
            let (first, second) = range.cut(bound);
            self.left.push((second, rows.saturating_sub(before)));
            self.left.push((first, before));
        }
        Ok(None)
    }

    fn may_be_cut(&self, rows: u64) -> bool {
        rows > LEAST_ROWS && self.context.plan.served()
    }

    /// Takes the result of a range. Returns it, unless the range is read again: in smaller ranges
    /// if it took too long, and after a pause if replay was in the way.
    pub(crate) fn take<T>(&mut self, read: Result<T, SideError>) -> Result<Option<T>, SideError> {
        let rows = self.left.last().map_or(0, |(_, rows)| *rows);
        match read {
            Err((_, error)) if self.may_be_cut(rows) && error.remedy == Remedy::Shrink => {
                self.too_many = rows;
                Ok(None)
            }
            Err((side, error)) if error.remedy == Remedy::Conflict => {
                self.pause = self.conflicts.pause();
                if self.pause.is_none() {
                    return Err((side, PgError { remedy: Remedy::Shrink, ..error }));
                }
                if self.may_be_cut(rows) {
                    self.too_many = rows;
                }
                Ok(None)
            }
            read => {
                self.left.pop();
                self.conflicts.refill();
                read.map(Some)
            }
        }
    }
}
