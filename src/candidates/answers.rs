//! What follows from the answer to a task, or from its failure.

use super::context::Context;
use super::mapping::MappingState;
use super::task::{KeyBatch, Probe, Rescan, Split, Task, TaskAnswer};
use crate::chunks::{ReadFailure, ScanStep};
use crate::event::Event;

impl MappingState {
    /// Takes the answer to a task.
    pub(crate) fn take_answer(&mut self, answer: TaskAnswer, context: &mut Context<'_>) {
        match answer {
            TaskAnswer::ReadHistogram(side, bounds) => {
                let rows = self.result.plan.sides[side].estimated_rows.unwrap_or(0);
                self.scan.chunks.set_histogram(bounds, rows);
            }
            TaskAnswer::Probe(Probe { rows, .. }, found) => {
                let again = self.scan.chunks.set_boundary(rows, found);
                if let Some(ScanStep::Probe { side, range, rows }) = again {
                    self.tasks.push_front(Task::Probe(Probe { side, range, rows }));
                }
                self.take_finished(context);
            }
            TaskAnswer::ScanChunk(scan, result) => {
                context.report(Event::ChunkFinished {
                    mapping: self.result.index,
                    chunk: scan.chunk,
                    rows: result.compared.rows,
                    suspects: result.compared.suspects.len() as u64,
                    elapsed: result.statement,
                });
                self.take_scanned(scan.chunk, result, context);
            }
            TaskAnswer::CountBlocks(blocks) => {
                if let Some(scan) = &mut self.scan.blocks {
                    scan.set_blocks(blocks);
                }
            }
            TaskAnswer::ReadBlocks(read, result) => {
                context.report(Event::ChunkFinished {
                    mapping: self.result.index,
                    chunk: read.number,
                    rows: result.rows(),
                    suspects: 0,
                    elapsed: result.took.source.max(result.took.target),
                });
                self.take_blocks(&read, result, context);
            }
            TaskAnswer::Rescan(rescan, result) => {
                self.take_rescanned(rescan.range, result.compared, context);
            }
            TaskAnswer::Split(split, found) => self.take_split(split, found, context),
            TaskAnswer::FindGap(gap) => {
                self.take_gap(gap, context);
                self.take_finished(context);
            }
            TaskAnswer::ReadKeys(range, found) => self.take_keys(&range, found, context),
            TaskAnswer::CountNullKeys(counted) => self.take_null_keys(counted, context),
            TaskAnswer::RecheckPrior(keys, looked) => self.take_prior_keys(keys, looked, context),
            TaskAnswer::RecheckKeys(KeyBatch { batch, candidates }, looked) => {
                self.take_rechecked(candidates, looked, context);
                let open = context.queue.len() as u64;
                context.report(Event::RecheckFinished { batch, open });
            }
            TaskAnswer::RecheckRange(candidate, counted) => {
                self.take_rechecked_range(candidate, counted, context);
            }
            TaskAnswer::RecheckNullKeys(candidate, counted) => {
                self.take_rechecked_null_keys(candidate, counted, context);
            }
            TaskAnswer::NameRange(range, last) => self.report_range(range, last, context),
            TaskAnswer::LocateKey(key, range) => {
                self.close_candidate(&key.candidate);
                let range = range.as_ref().unwrap_or(&key.candidate.parent);
                self.result.report_undecided(range, 1, &key.reason, context);
            }
            TaskAnswer::FindEnds(side, ends) => self.result.set_ends(side, ends),
        }
    }

    /// Takes the failure of a task: smaller tasks take its place, or its rows are undecided. Returns
    /// whether the mapping has to be given up.
    pub(crate) fn take_failure(
        &mut self,
        task: Task,
        failure: ReadFailure,
        reason: &str,
        context: &mut Context<'_>,
    ) -> bool {
        let can_be_less = matches!(failure, ReadFailure::TooLarge | ReadFailure::BadRow);
        match task {
            Task::ScanChunk(scan) => {
                let ends = self.scan.chunks.set_failed(scan.chunk, failure, reason);
                self.take_finished(context);
                ends
            }
            Task::CountBlocks => self.take_block_failure(None, failure, context),
            Task::ReadBlocks(read) => self.take_block_failure(Some(&read), failure, context),
            Task::Rescan(Rescan { range, rows, smallest: true })
                if failure == ReadFailure::TooLarge =>
            {
                self.give_up_rescan(&range, rows, reason, context)
            }
            Task::Rescan(Rescan { range, rows, .. }) if can_be_less => {
                let (least, reason) = (failure.least_rows(), reason.to_owned());
                self.tasks.push_front(Task::Split(Split { range, rows, least, reason }));
                false
            }
            Task::RecheckPrior(mut keys) if keys.len() > 1 && can_be_less => {
                let half = keys.split_off(keys.len() / 2);
                self.mode.add_batches([keys, half]);
                false
            }
            Task::RecheckKeys(KeyBatch { batch, mut candidates })
                if candidates.len() > 1 && can_be_less =>
            {
                // Halves, until the one key is found that is the cause.
                let half = candidates.split_off(candidates.len() / 2);
                for candidates in [half, candidates] {
                    self.tasks.push_front(Task::RecheckKeys(KeyBatch { batch, candidates }));
                }
                false
            }
            Task::RecheckKeys(KeyBatch { candidates, .. }) => {
                self.take_unreadable(candidates, reason, can_be_less, context);
                !can_be_less
            }
            Task::RecheckRange(candidate) | Task::RecheckNullKeys(candidate) => {
                self.close_candidate(&candidate);
                let rows = candidate.suspect.image.map(|digest| digest.rows);
                let rows = rows.source.max(rows.target);
                self.result.report_undecided(&candidate.parent, rows, reason, context);
                self.settle_part(candidate.part, None);
                !can_be_less
            }
            // Without statistics boundaries are probed for.
            Task::ReadHistogram(_) if failure != ReadFailure::NoServer => {
                self.scan.chunks.set_histogram(Vec::new(), 0);
                false
            }
            Task::ReadHistogram(_) | Task::Probe(_) | Task::FindGap(_) => true,
            // Only a hint is missing.
            Task::FindEnds(_) => false,
            task => {
                self.abandon_task(task, reason, context);
                !can_be_less
            }
        }
    }
}
