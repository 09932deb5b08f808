//! Storing what becomes of a mapping during a run, and resuming the mapping from it.

use super::checkpoints::{FIRST_BLOCK_RESULT, PartRecord, ScanPhase, StoredMapping, StoredScan};
use super::context::Context;
use super::mapping::MappingState;
use super::mode::Mode;
use crate::chunks::{
    BlockScan, ChunkOutcome, FinishedChunk, PriorChunk, PriorChunkState, StoredOutcome,
};
use crate::compare::{Comparison, PartCounts};
use crate::event::Event;
use crate::finding::{Disposition, ReadAgain, Ruling};
use crate::row::{Bound, KeyRange};
use crate::schema::Side;

/// A stored outcome that has to be read from the ledger, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UnreadOutcome {
    /// A result of a table scan by blocks.
    BlockResult(u64),
    /// The reason why a chunk could not be compared.
    Reason(u64),
    /// The outcome of a chunk.
    Chunk(u64),
}

impl MappingState {
    /// Stores the outcome of a chunk at once, if the order of keys is known here.
    pub(super) fn store_compared(
        &mut self,
        chunk: u64,
        compared: &Comparison,
        context: &mut Context<'_>,
    ) {
        if context.checkpoints.are_stored()
            && let Some((range, rows)) = self.scan.chunks.mark_stored(chunk)
        {
            let (name, chunk) = (&self.result.plan.name, (chunk, &range, rows));
            context.checkpoints.store_chunk(name, chunk, StoredOutcome::Compared(compared));
        }
    }

    /// Stores the outcome of a chunk when all before it are done: then chunks tile in any order of keys.
    pub(super) fn store_finished(&self, finished: &FinishedChunk, context: &mut Context<'_>) {
        let outcome = match &finished.outcome {
            ChunkOutcome::Comparison(compared) => StoredOutcome::Compared(compared),
            ChunkOutcome::Skipped => StoredOutcome::Skipped,
            ChunkOutcome::Undecided(..) => return,
        };
        if !finished.is_stored {
            let chunk = (finished.chunk, &finished.range, finished.rows);
            context.checkpoints.store_chunk(&self.result.plan.name, chunk, outcome);
        }
    }

    /// Stores that a part of a one-sided range is confirmed, since rechecking it means reading it. A part
    /// with rows under a rule is rechecked: the rule may have expired by then.
    pub(super) fn store_ruling(
        &self,
        (range, side): (&KeyRange, Side),
        (ruling, parts): (&Ruling, &PartCounts),
        context: &mut Context<'_>,
    ) {
        let is_confirmed = ruling.disposition() == Disposition::Confirmed && !parts.has_rules();
        if context.checkpoints.are_stored() && is_confirmed {
            let key = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.key.clone());
            let part = PartRecord { side, through: key(&range.through), ruling, parts };
            let name = &self.result.plan.name;
            context.checkpoints.store_part(name, &key(&range.after), &part);
        }
    }

    /// Stores a result of the table scan, and how far the scan has come. Returns the result, unless it is
    /// only handed over to the process that completes the run.
    pub(super) fn store_block_result(
        &mut self,
        compared: Comparison,
        context: &mut Context<'_>,
    ) -> Option<Comparison> {
        let chunk = FIRST_BLOCK_RESULT + self.scan.block_results;
        let range = KeyRange::everything();
        self.scan.block_results += 1;
        if let Mode::Shard(finished) = &mut self.mode {
            self.scan.chunks.add_scanned(compared.rows.source.max(compared.rows.target));
            let (outcome, is_stored) = (ChunkOutcome::Comparison(compared), false);
            finished.push(FinishedChunk { chunk, range, rows: 0, outcome, is_stored });
            return None;
        }
        let outcome = StoredOutcome::Compared(&compared);
        context.checkpoints.store_chunk(&self.result.plan.name, (chunk, &range, 0), outcome);
        self.store_scan(true, context);
        Some(compared)
    }

    /// Stores how far the table scan has come: now, or if it is due.
    pub(super) fn store_scan(&mut self, now: bool, context: &mut Context<'_>) {
        if !context.checkpoints.are_stored() || !(now || context.checkpoints.are_due()) {
            return;
        }
        let block_results = self.scan.block_results;
        let phase = match &self.scan.blocks {
            Some(blocks) => ScanPhase::Open(Box::new(blocks.state())),
            None if block_results > 0 => ScanPhase::Finished,
            None => ScanPhase::Useless,
        };
        let scan = StoredScan { block_results, phase };
        context.checkpoints.store_scan(&self.result.plan.name, &scan);
    }

    /// Restores how far the mapping had come.
    pub(crate) fn restore(&mut self, stored: StoredMapping, context: &mut Context<'_>) {
        let name = self.result.plan.name.clone();
        let stored = if stored.adds_up(context.settings.chunks.sample.is_some()) {
            stored
        } else {
            context.checkpoints.forget_mapping(&name);
            StoredMapping { damaged: stored.damaged.max(1), ..StoredMapping::default() }
        };
        let StoredMapping { chunks, results, phase, confirmed, damaged, places, .. } = stored;
        let undecided = chunks.iter().chain(&results);
        let undecided = undecided.filter(|chunk| chunk.state == PriorChunkState::Undecided);
        self.restored.undecided = undecided.map(|chunk| chunk.chunk).collect();
        self.restored.confirmed = confirmed;
        self.scan.block_results = results.len() as u64;
        self.restore_scan(phase, (!chunks.is_empty(), !results.is_empty()), context);
        let rows = chunks.iter().chain(&results).map(|chunk| match chunk.state {
            PriorChunkState::Clean(rows) => rows,
            PriorChunkState::Dirty => chunk.rows,
            PriorChunkState::Skipped | PriorChunkState::Undecided => 0,
        });
        let rows = rows.fold(0, u64::saturating_add);
        let kept_results = results.len() as u64;
        for PriorChunk { chunk, state, .. } in results {
            match state {
                PriorChunkState::Clean(rows) => self.result.add_matched(rows, &Default::default()),
                PriorChunkState::Dirty => self.restored.block_results.push_back(chunk),
                PriorChunkState::Skipped | PriorChunkState::Undecided => {}
            }
        }
        let all = chunks.len() as u64;
        let number = match chunks.is_empty() {
            true => 0,
            false => self.scan.chunks.restore(chunks, &KeyRange::everything()),
        };
        let do_not_tile = number == 0 && all > 0;
        if damaged > 0 || do_not_tile {
            let (damaged, chunks_kept) = (damaged.max(1), kept_results + number);
            self.result.read_again = Some(ReadAgain { damaged, chunks_kept });
            if do_not_tile {
                context.checkpoints.forget_mapping(&name);
            }
            for place in places {
                context.checkpoints.forget_chunk(&name, place);
            }
        }
        context.report(Event::MappingResumed { mapping: self.result.index, chunks: number, rows });
        self.take_finished(context);
    }

    fn restore_scan(
        &mut self,
        phase: Option<ScanPhase>,
        (has_chunks, has_results): (bool, bool),
        context: &Context<'_>,
    ) {
        let blocks = &mut self.scan.blocks;
        match phase {
            Some(ScanPhase::Open(state)) => {
                let (plan, settings) = (&self.result.plan, context.settings.chunks);
                blocks.get_or_insert_with(|| BlockScan::of(plan, settings)).restore(*state);
            }
            Some(ScanPhase::Finished) => {
                *blocks = None;
                self.scan.chunks.close();
            }
            Some(ScanPhase::Useless) => {
                *blocks = None;
                self.scan.chunks.cut_into_ranges();
            }
            // Statistics may have changed, and with them the plan's choice: the run's own choice stays.
            None if has_chunks => *blocks = None,
            // In a run of many processes one of them has compared everything.
            None if has_results => {
                *blocks = None;
                self.scan.chunks.close();
            }
            None => {}
        }
    }

    /// Returns whether an outcome has to be read from the ledger, and the queue has room for it.
    pub(crate) fn has_unread(&self, is_queue_full: bool) -> bool {
        let has_unread =
            !self.restored.block_results.is_empty() || self.scan.chunks.first_stored().is_some();
        has_unread && !self.is_finished && !is_queue_full && !self.waits_for_gap()
    }

    /// Returns the outcome that is read next.
    pub(crate) fn next_unread(&mut self) -> Option<UnreadOutcome> {
        if let Some(chunk) = self.restored.block_results.pop_front() {
            return Some(UnreadOutcome::BlockResult(chunk));
        }
        let chunk = self.scan.chunks.first_stored()?;
        Some(match self.restored.undecided.remove(&chunk) {
            true => UnreadOutcome::Reason(chunk),
            false => UnreadOutcome::Chunk(chunk),
        })
    }

    /// Takes a stored result of the table scan, or why it could not be read.
    pub(crate) fn take_stored_result(
        &mut self,
        compared: Result<Comparison, String>,
        context: &mut Context<'_>,
    ) {
        match compared {
            Ok(compared) => self.take_rescanned(KeyRange::everything(), compared, context),
            Err(error) => {
                let reason = format!("what was compared before is lost: {error}");
                self.result.report_undecided(&KeyRange::everything(), 1, &reason, context);
            }
        }
    }

    /// Takes the stored reason why a chunk could not be compared.
    pub(crate) fn take_stored_reason(
        &mut self,
        chunk: u64,
        reason: String,
        context: &mut Context<'_>,
    ) {
        self.scan.chunks.set_undecided(chunk, reason);
        self.take_finished(context);
    }

    /// Takes the stored outcome of a chunk; with `None` the chunk is compared again.
    pub(crate) fn take_stored_chunk(
        &mut self,
        chunk: u64,
        compared: Option<Comparison>,
        context: &mut Context<'_>,
    ) {
        self.scan.chunks.set_stored(chunk, compared);
        self.take_finished(context);
    }
}
