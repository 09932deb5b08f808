//! The slice of a mapping: keys that are rechecked first, and ranges that are scanned then.
//!
//! A key that is rechecked first may be scanned later with its range. Then the scan counts, which sees
//! the key among its neighbours; the recheck counts for keys whose ranges are not scanned.

use std::collections::HashSet;
use std::sync::Arc;

use super::context::{CandidateSettings, Context};
use super::mapping::{MappingState, null_keys};
use super::mode::{Mode, PriorBatches};
use super::prior_keys::{PriorKeys, SlicePlan};
use crate::chunks::ChunkQueue;
use crate::compare::RangeComparison;
use crate::plan::MappingPlan;
use crate::row::{Key, KeyRange, VerifiedBy};

impl MappingState {
    /// Creates the state of a mapping of which a slice is compared.
    pub(crate) fn slice(
        index: usize,
        plan: &Arc<MappingPlan>,
        settings: &CandidateSettings,
        SlicePlan { prior, ranges }: SlicePlan,
    ) -> MappingState {
        let batches = PriorBatches::new(&prior.keys);
        let mut state = MappingState::recheck(index, plan, settings, prior);
        state.result.clear_skipped();
        state.tasks = null_keys(plan).into_iter().collect();
        state.scan.chunks = ChunkQueue::of_scan_ranges(plan, settings.chunks, ranges);
        state.mode = Mode::Slice(batches, PriorKeys::default());
        state
    }

    /// Forgets the first recheck of keys in a range that was scanned. Those that agreed then and now have
    /// healed.
    pub(super) fn forget_prior_keys(&mut self, range: &KeyRange, compared: &RangeComparison) {
        let Mode::Slice(_, prior) = &mut self.mode else { return };
        let agreed = prior.take(range, &self.result.plan.order);
        if !agreed.is_empty() && compared.one_sided.is_none() {
            let differ: HashSet<&Key> = compared.candidates.iter().map(|row| &row.key).collect();
            let healed = agreed.iter().filter(|key| !differ.contains(*key)).count();
            self.result.counts.healed += healed as u64;
        }
    }

    /// Counts the first recheck of keys whose ranges were not scanned. What is rechecked from now on counts
    /// at once.
    pub(super) fn count_prior_keys(&mut self, context: &mut Context<'_>) {
        let Mode::Slice(batches, prior) = &mut self.mode else { return };
        let (batches, prior) = (std::mem::take(batches), std::mem::take(prior));
        self.mode = Mode::Recheck(batches);
        for (key, diff) in prior.into_unscanned() {
            self.count_prior_key(key, diff, context);
        }
    }

    /// Ends the scan: the next slice compares the rest.
    pub(crate) fn leave_rest(&mut self, context: &mut Context<'_>) {
        let rows = self.scan.chunks.leave_rest();
        if rows > 0 {
            self.result.add_skipped(rows);
        }
        self.take_finished(context);
    }

    /// Returns the run that last verified the range that is being scanned. The mapping with the oldest
    /// is scanned first.
    pub(crate) fn last_verified(&self) -> Option<VerifiedBy> {
        self.scan.chunks.last_verified().cloned()
    }
}
