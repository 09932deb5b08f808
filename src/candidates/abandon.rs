//! What follows from work that will not be done: its rows are undecided.

use std::sync::Arc;

use super::context::Context;
use super::mapping::{MappingState, only};
use super::queue::OpenCandidate;
use super::task::{KeyBatch, Rescan, Split, Task, UnreadableKey};
use crate::row::KeyRange;

impl MappingState {
    /// Ends the scan: what was not compared is undecided.
    pub(crate) fn abandon(&mut self, reason: &str, context: &mut Context<'_>) {
        let read = self.result.counts.books.map(|side| side.read);
        let estimated = self.result.plan.estimated_rows().unwrap_or(0);
        self.scan.blocks = None;
        self.restored.block_results.clear();
        let rest = estimated.saturating_sub(read.source.max(read.target));
        self.scan.chunks.give_up(reason, (!self.is_shard()).then_some(rest));
        // The chunks may add one-sided rows, which are released in turn.
        for _ in 0..2 {
            self.release_ranges(context);
            self.take_finished(context);
        }
        for keys in self.mode.take_batches() {
            self.abandon_task(Task::RecheckPrior(keys), reason, context);
        }
        for task in std::mem::take(&mut self.tasks) {
            self.abandon_task(task, reason, context);
        }
    }

    /// Takes a task that will not be carried out.
    pub(crate) fn abandon_task(&mut self, task: Task, reason: &str, context: &mut Context<'_>) {
        match task {
            Task::ReadKeys(range) => {
                let rows = range.digest.rows;
                self.result.add_undecided(only(range.side, rows));
                self.result.report_undecided(&range.range, rows, reason, context);
            }
            Task::RecheckPrior(keys) => {
                let rows = keys.len() as u64;
                self.result.report_undecided(&KeyRange::everything(), rows, reason, context);
            }
            Task::Rescan(Rescan { range, rows, .. }) | Task::Split(Split { range, rows, .. }) => {
                self.result.report_undecided(&range, rows, reason, context);
            }
            Task::CountNullKeys => {
                let reason = format!("rows with a NULL in their key were not counted: {reason}");
                self.result.report_undecided(&KeyRange::everything(), 1, &reason, context);
            }
            Task::RecheckKeys(KeyBatch { candidates, .. }) => {
                candidates.into_iter().for_each(|candidate| context.queue.push(candidate));
            }
            Task::RecheckRange(candidate) | Task::RecheckNullKeys(candidate) => {
                context.queue.push(candidate);
            }
            Task::NameRange(range) => self.report_range(range, None, context),
            Task::LocateKey(UnreadableKey { candidate, reason }) => {
                self.close_candidate(&candidate);
                self.result.report_undecided(&candidate.parent, 1, &reason, context);
            }
            // Their chunks are undecided by themselves.
            Task::ReadHistogram(_)
            | Task::Probe(_)
            | Task::ScanChunk(_)
            | Task::CountBlocks
            | Task::ReadBlocks(_)
            | Task::FindGap(_)
            | Task::FindEnds(_) => {}
        }
    }

    /// Reports what is confirmed of one-sided ranges whose parts will not all be settled.
    pub(crate) fn close_ranges(&mut self, context: &mut Context<'_>) {
        for range in self.one_sided.close_all() {
            self.report_range(range, None, context);
        }
    }

    /// Ends the mapping because a table has changed since it was planned. What is not compared or not
    /// settled is undecided.
    pub(crate) fn end_as_changed(&mut self, task: Task, reason: &str, context: &mut Context<'_>) {
        self.abandon_task(task, reason, context);
        if !self.is_finished {
            self.abandon(reason, context);
        }
        let mut parents: Vec<(Arc<KeyRange>, u64)> = Vec::new();
        for candidate in context.queue.drain_of(self.result.index) {
            self.close_candidate(&candidate);
            let OpenCandidate { parent, part, .. } = candidate;
            self.settle_part(part, None);
            match parents.last_mut() {
                Some((last, count)) if *last == parent => *count += 1,
                _ => parents.push((parent, 1)),
            }
        }
        for (parent, count) in parents {
            self.result.report_undecided(&parent, count, reason, context);
        }
    }
}
