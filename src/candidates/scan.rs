//! What follows from the results of a mapping's scan: chunks and blocks that were compared, or could not
//! be. Ranges that were taken for one-sided are compared a second time, since the other side may have
//! rows in them by then.

use super::context::Context;
use super::mapping::MappingState;
use super::mode::Mode;
use super::task::{Rescan, ScanResult, Split, Task};
use crate::chunks::{
    BlockProgress, BlockRead, BlockResult, ChunkOutcome, FinishedChunk, MOST_GIVEN_UP, ReadFailure,
};
use crate::compare::{Item, RangeComparison};
use crate::row::{Bound, KeyRange};

impl MappingState {
    /// Takes the result of a chunk. A chunk with more one-sided rows than are reported one by one is cut
    /// in two.
    pub(crate) fn take_scanned(
        &mut self,
        chunk: u64,
        result: ScanResult,
        context: &mut Context<'_>,
    ) {
        let ScanResult { compared, statement } = result;
        if self.has_too_many(&compared, context) && self.scan.chunks.can_be_cut() {
            let reason = "more one-sided rows than can be reported";
            self.scan.chunks.set_failed(chunk, ReadFailure::TooLarge, reason);
        } else {
            self.store_compared(chunk, &compared, context);
            self.scan.chunks.set_compared(chunk, compared, statement);
        }
        self.take_finished(context);
    }

    /// Takes every chunk that is done with all before it.
    pub(crate) fn take_finished(&mut self, context: &mut Context<'_>) {
        self.result.sampled_share = self.scan.chunks.sampled_share();
        if let Mode::Shard(finished) = &mut self.mode {
            return finished.extend(self.scan.chunks.take_finished());
        }
        for finished in self.scan.chunks.take_finished() {
            self.store_finished(&finished, context);
            let FinishedChunk { range, outcome, .. } = finished;
            match outcome {
                ChunkOutcome::RangeComparison(compared) => {
                    self.take_chunk(range, compared, context)
                }
                ChunkOutcome::Skipped => self.interrupt_range(context),
                ChunkOutcome::Undecided(rows, reason) => {
                    self.result.report_undecided(&range, rows, &reason, context);
                    self.interrupt_range(context);
                }
            }
        }
        if self.scan.chunks.is_finished() {
            self.finish_ranges(context);
            self.count_prior_keys(context);
        }
        self.request_ends();
    }

    fn take_chunk(
        &mut self,
        range: KeyRange,
        compared: RangeComparison,
        context: &mut Context<'_>,
    ) {
        self.forget_prior_keys(&range, &compared);
        let agreed = compared.matched > 0;
        let rows = compared.rows;
        self.result.verified.add_compared(&range, rows.source.max(rows.target));
        let items = self.count_compared(range, compared);
        self.take_items(items, agreed, context);
    }

    /// Takes the content of blocks. When both tables have been scanned, what differs is settled key by
    /// key.
    pub(crate) fn take_blocks(
        &mut self,
        read: &BlockRead,
        result: BlockResult,
        context: &mut Context<'_>,
    ) {
        let progress = self.scan.blocks.as_mut().and_then(|blocks| blocks.take(read, result));
        let Some(progress) = progress else { return self.store_scan(false, context) };
        let compared = match progress {
            BlockProgress::Useless => {
                self.scan.blocks = None;
                return self.store_scan(true, context);
            }
            BlockProgress::RangeComparison(compared) => compared,
            BlockProgress::Finished(compared) => {
                self.scan.blocks = None;
                self.scan.chunks.close();
                compared
            }
        };
        if let Some(compared) = self.store_block_result(compared, context) {
            self.take_rescanned(KeyRange::everything(), compared, context);
        }
        self.take_finished(context);
    }

    /// Takes the failure to read blocks, or to count them. Returns whether the mapping has to be given
    /// up.
    pub(crate) fn take_block_failure(
        &mut self,
        read: Option<&BlockRead>,
        failure: ReadFailure,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(blocks) = &mut self.scan.blocks else { return false };
        if read.is_some_and(|read| blocks.set_failed(read, failure)) {
            return false;
        }
        // Key ranges can be cut down to the row that cannot be read, even if each of them reads the whole
        // table.
        let is_bad_row = failure == ReadFailure::BadRow;
        let uses_ranges = self.scan.block_results == 0
            && (is_bad_row || failure != ReadFailure::NoServer && self.result.plan.served());
        if uses_ranges {
            self.scan.blocks = None;
            self.scan.chunks.cut_into_ranges();
            self.store_scan(true, context);
        }
        !uses_ranges
    }

    /// Takes the result of a range that was compared again: keys that differ, or a one-sided range.
    pub(crate) fn take_rescanned(
        &mut self,
        range: KeyRange,
        compared: RangeComparison,
        context: &mut Context<'_>,
    ) {
        self.given_up = 0;
        for item in self.count_compared(range, compared) {
            match item {
                Item::Key(candidate, parent) => self.add_key(candidate, parent, context),
                Item::OneSided(range) => self.add_range(range, None, context),
            }
        }
    }

    /// Takes the boundary at which a range is cut in two; with `None` it cannot be cut, and its statement
    /// may run as long as any.
    pub(crate) fn take_split(
        &mut self,
        split: Split,
        found: Option<(Bound, u64)>,
        context: &mut Context<'_>,
    ) {
        let Split { range, rows, least, reason } = split;
        let Some((bound, before)) = found else {
            if least > 1 {
                self.tasks.push_front(Task::Rescan(Rescan { range, rows, smallest: true }));
            } else {
                // A row that cannot be read says nothing about the next.
                self.result.report_undecided(&range, rows, &reason, context);
            }
            return;
        };
        let (first, second) = range.cut(bound);
        // The rows behind the boundary are an estimate, which does not shrink because the range was cut.
        self.tasks.push_front(Task::Rescan(Rescan { range: second, rows, smallest: false }));
        self.tasks.push_front(Task::Rescan(Rescan { range: first, rows: before, smallest: false }));
    }

    /// Takes the failure of a range that cannot be cut: it is undecided. Returns whether the mapping has
    /// to be given up.
    pub(crate) fn give_up_rescan(
        &mut self,
        range: &KeyRange,
        rows: u64,
        reason: &str,
        context: &mut Context<'_>,
    ) -> bool {
        self.result.report_undecided(range, rows, reason, context);
        self.given_up += 1;
        self.given_up >= MOST_GIVEN_UP
    }
}
