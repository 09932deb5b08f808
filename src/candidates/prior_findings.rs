//! A mapping of which only what a prior run found is rechecked.

use std::sync::Arc;

use super::context::{CandidateSettings, Context};
use super::mapping::MappingState;
use super::mode::{Mode, PriorBatches};
use super::prior_keys::PriorFindings;
use super::task::Task;
use crate::chunks::ChunkQueue;
use crate::compare::{CandidateKey, RowDiff};
use crate::plan::MappingPlan;
use crate::row::{Key, KeyRange};

impl MappingState {
    /// Creates the state of a mapping of which only what a prior run found is rechecked.
    pub(crate) fn recheck(
        index: usize,
        plan: &Arc<MappingPlan>,
        settings: &CandidateSettings,
        prior: PriorFindings,
    ) -> MappingState {
        let mut state = MappingState::new(index, plan, settings);
        let PriorFindings { keys, ranges, null_keys, not_recalled } = prior;
        state.result.not_recalled = not_recalled;
        state.scan.blocks = None;
        state.scan.chunks = ChunkQueue::of_ranges(plan, settings.chunks, ranges);
        state.tasks = null_keys.then_some(Task::CountNullKeys).into_iter().collect();
        state.mode = Mode::Recheck(PriorBatches::new(&keys));
        state.result.add_skipped(plan.estimated_rows().unwrap_or(0));
        state
    }

    /// Takes the first recheck of a prior run's keys. A slice sets it aside until it is known whether the
    /// range of the key is scanned.
    pub(crate) fn take_prior_keys(
        &mut self,
        keys: Vec<Key>,
        diff: Vec<RowDiff>,
        context: &mut Context<'_>,
    ) {
        for (key, diff) in keys.into_iter().zip(diff) {
            match &mut self.mode {
                Mode::Slice(_, prior) => prior.add(key, diff),
                _ => self.count_prior_key(key, diff, context),
            }
        }
    }

    /// Counts a prior run's key: one that differs is a candidate, as if a scan had seen it, and one that
    /// agrees has healed since.
    pub(super) fn count_prior_key(&mut self, key: Key, diff: RowDiff, context: &mut Context<'_>) {
        let rows = diff.image.map(|digest| digest.rows);
        self.result.counts.add_read(rows);
        match diff.kind {
            None => self.result.add_healed(rows, &diff.groups),
            Some(_) => {
                let parent = Arc::new(KeyRange::everything());
                self.add_key(CandidateKey { key, image: diff.image }, parent, context);
            }
        }
    }
}
