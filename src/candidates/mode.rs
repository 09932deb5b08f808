//! What is to be compared of a mapping: all rows, what a prior run found, a slice, or a shard.

use std::collections::VecDeque;

use super::prior_keys::PriorKeys;
use crate::chunks::FinishedChunk;
use crate::row::Key;

/// The number of a prior run's keys that are rechecked together.
const KEYS_PER_BATCH: usize = 1_000;

/// What is to be compared of a mapping.
#[derive(Debug)]
pub(crate) enum Mode {
    /// All rows.
    Compare,
    /// Only what a prior run found.
    Recheck(PriorBatches),
    /// What the prior run found, and then the ranges that have not been verified for the longest time.
    Slice(PriorBatches, PriorKeys),
    /// One shard of a run that another process completes: its chunks that are done and not yet handed
    /// over.
    Shard(Vec<FinishedChunk>),
}

/// Keys that a prior run has found, in batches.
#[derive(Debug, Default)]
pub(crate) struct PriorBatches {
    waiting: VecDeque<Vec<Key>>,
    in_flight: usize,
}

impl PriorBatches {
    /// Cuts keys into batches.
    pub(crate) fn new(keys: &[Key]) -> PriorBatches {
        let waiting = keys.chunks(KEYS_PER_BATCH).map(<[Key]>::to_vec).collect();
        PriorBatches { waiting, in_flight: 0 }
    }
}

impl Mode {
    fn batches(&mut self) -> Option<&mut PriorBatches> {
        match self {
            Mode::Recheck(batches) | Mode::Slice(batches, _) => Some(batches),
            Mode::Compare | Mode::Shard(_) => None,
        }
    }

    /// Returns the next batch of a prior run's keys, and counts it as in flight.
    pub(crate) fn start_batch(&mut self) -> Option<Vec<Key>> {
        let batches = self.batches()?;
        let keys = batches.waiting.pop_front()?;
        batches.in_flight += 1;
        Some(keys)
    }

    /// Counts a batch as no longer in flight.
    pub(crate) fn end_batch(&mut self) {
        if let Some(batches) = self.batches() {
            batches.in_flight = batches.in_flight.saturating_sub(1);
        }
    }

    /// Adds batches that are rechecked last.
    pub(crate) fn add_batches(&mut self, keys: impl IntoIterator<Item = Vec<Key>>) {
        if let Some(batches) = self.batches() {
            batches.waiting.extend(keys);
        }
    }

    /// Removes and returns the batches that wait.
    pub(crate) fn take_batches(&mut self) -> VecDeque<Vec<Key>> {
        self.batches().map(|batches| std::mem::take(&mut batches.waiting)).unwrap_or_default()
    }

    /// Returns whether batches wait.
    pub(crate) fn has_batches(&self) -> bool {
        match self {
            Mode::Recheck(batches) | Mode::Slice(batches, _) => !batches.waiting.is_empty(),
            Mode::Compare | Mode::Shard(_) => false,
        }
    }

    /// Returns whether the scan has to wait for keys of the prior run that are in flight.
    pub(crate) fn holds_scan(&self) -> bool {
        matches!(self, Mode::Slice(batches, _) if batches.in_flight > 0)
    }
}
