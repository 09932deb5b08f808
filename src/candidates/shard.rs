//! A shard of a mapping: a process of many scans it, and another one completes the run.

use std::sync::Arc;

use super::context::CandidateSettings;
use super::mapping::MappingState;
use super::mode::Mode;
use crate::chunks::{FinishedChunk, PriorChunk};
use crate::plan::MappingPlan;
use crate::row::KeyRange;

impl MappingState {
    /// Creates the state of a mapping of which one shard is scanned: its keys, its estimated rows, and the
    /// number of its first chunk. Some of its chunks were compared by another process.
    pub(crate) fn shard(
        index: usize,
        plan: &Arc<MappingPlan>,
        settings: &CandidateSettings,
        (range, rows, first_chunk): (&KeyRange, u64, u64),
        prior: Vec<PriorChunk>,
    ) -> MappingState {
        let mut state = MappingState::new(index, plan, settings);
        // A part of the keys is read in key ranges, even if the run's fingerprint does not say so.
        let blocks = state.scan.blocks.take().filter(|_| *range == KeyRange::everything());
        state.wait_for_shard();
        state.scan.blocks = blocks;
        state.scan.chunks.limit((range, rows), first_chunk, prior);
        state.scan.chunks.forget_stored();
        state
    }

    /// Sets the mapping to have nothing to do. The process that completes the run counts rows with a NULL
    /// in their key.
    pub(crate) fn wait_for_shard(&mut self) {
        self.mode = Mode::Shard(Vec::new());
        self.tasks.clear();
        self.scan.blocks = None;
        self.scan.chunks.close();
    }

    /// Returns whether only a shard is scanned.
    pub(super) fn is_shard(&self) -> bool {
        matches!(self.mode, Mode::Shard(_))
    }

    /// Removes and returns the chunks that are done and not yet handed over.
    pub(crate) fn take_scanned_chunks(&mut self) -> Vec<FinishedChunk> {
        match &mut self.mode {
            Mode::Shard(finished) => std::mem::take(finished),
            Mode::Compare | Mode::Recheck(_) | Mode::Slice(..) => Vec::new(),
        }
    }

    /// Returns whether the whole shard is compared.
    pub(crate) fn is_shard_done(&self) -> bool {
        self.scan.is_finished() && self.in_flight == 0
    }
}
