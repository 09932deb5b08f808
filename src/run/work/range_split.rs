//! Reads a range in one statement, or in several where one takes too long.
//!
//! ```text
//! (──────────────────────────]   took too long: cut where half of its rows lie
//! (────────────](────────────]   each in a transaction of its own, cut again if need be
//! ```
//!
//! A statement holds its snapshot as long as it runs, and while it does, a busy table cannot be cleaned
//! up. What comes of the ranges is of several moments then, as it is of a table's chunks: who moves from
//! one to the other in between is met twice or not at all, and settled as anything in motion is.
//!
//! A piece that a standby's replay interrupts is cut too, or read again where it cannot be cut. Each piece
//! that was read is progress, and gives the whole budget of tries back.

use std::time::Duration;

use super::bounds;
use super::task_context::TaskContext;
use crate::chunks::LEAST_ROWS;
use crate::pg::{PgError, Remedy, Retries};
use crate::prepare::SideError;
use crate::row::KeyRange;

/// A range of about so many rows, or what is left of it.
pub(in crate::run) struct RangeSplit<'h, 'w> {
    hands: &'h TaskContext<'w>,
    /// The next one last.
    left: Vec<(KeyRange, u64)>,
    /// So many rows took too long.
    too_many: u64,
    conflicts: Retries,
    /// How long to wait before the next statement.
    pause: Option<Duration>,
}

impl<'h, 'w> RangeSplit<'h, 'w> {
    pub(in crate::run) fn new(hands: &'h TaskContext<'w>, range: &KeyRange, rows: u64) -> Self {
        let (left, conflicts) = (vec![(range.clone(), rows)], Retries::against_conflicts());
        RangeSplit { hands, left, too_many: u64::MAX, conflicts, pause: None }
    }

    /// What is to be read next, and what with.
    pub(in crate::run) async fn next(
        &mut self,
    ) -> Result<Option<(TaskContext<'w>, KeyRange)>, SideError> {
        if let Some(pause) = self.pause.take() {
            tokio::time::sleep(pause).await;
        }
        while let Some((range, rows)) = self.left.last().cloned() {
            if rows < self.too_many || !self.may_be_cut(rows) {
                let hands = if self.may_be_cut(rows) { self.hands.hurried() } else { *self.hands };
                return Ok(Some((hands, range)));
            }
            let middle = bounds::middle(self.hands, &range, rows, LEAST_ROWS).await?;
            self.left.pop();
            let Some((bound, before)) = middle else {
                // Few rows, or none that an index tells apart: it may take its time.
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
        rows > LEAST_ROWS && self.hands.plan.served()
    }

    /// Takes what came of it. Gives it back, unless it comes again: in smaller ranges where it took too
    /// long, and after a pause where replay was in the way.
    pub(in crate::run) fn take<T>(
        &mut self,
        read: Result<T, SideError>,
    ) -> Result<Option<T>, SideError> {
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
