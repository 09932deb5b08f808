//! One mapping of a run that looks again: keys and ranges of an earlier run, and nothing else.

use std::sync::Arc;

use super::MappingState;
use crate::compare::{CandidateKey, RowDiff};
use crate::finding::NotRecalled;
use crate::plan::MappingPlan;
use crate::row::{Key, KeyRange};
use crate::run::desk::Desk;
use crate::run::options::Options;
use crate::run::scan::frontier::Frontier;
use crate::run::work::Task;

/// Keys of an earlier run that are looked at together.
const KEYS_AT_ONCE: usize = 1_000;

/// What a mapping is to look at again.
#[derive(Debug, Default)]
pub(in crate::run) struct Again {
    pub(in crate::run) keys: Vec<Key>,
    /// In key order, with about how many rows each has.
    pub(in crate::run) ranges: Vec<(KeyRange, u64)>,
    pub(in crate::run) null_keys: bool,
    /// What is left out, and why.
    pub(in crate::run) not_recalled: Option<NotRecalled>,
}

impl MappingState {
    /// The state of a mapping of which only what an earlier run found is looked at.
    pub(in crate::run) fn again(
        index: usize,
        plan: &Arc<MappingPlan>,
        options: &Options,
        again: Again,
    ) -> MappingState {
        let mut state = MappingState::new(index, plan, options);
        let Again { keys, ranges, null_keys, not_recalled } = again;
        state.account.not_recalled = not_recalled;
        state.pass = None;
        state.frontier = Frontier::of_ranges(plan, options, ranges);
        state.tasks = null_keys.then_some(Task::NullKeys).into_iter().collect();
        state.again = keys.chunks(KEYS_AT_ONCE).map(<[Key]>::to_vec).collect();
        state.account.skipped(plan.estimated_rows().unwrap_or(0));
        state
    }

    /// Keys of an earlier run were looked at: those that differ are candidates, as if a scan had met
    /// them; those that agree have healed since.
    pub(in crate::run) fn recalled(
        &mut self,
        keys: Vec<Key>,
        looked: Vec<RowDiff>,
        desk: &mut Desk<'_>,
    ) {
        for (key, looked) in keys.into_iter().zip(looked) {
            if let Some((key, looked)) = self.put_aside(key, looked) {
                self.looked_again(key, looked, desk);
            }
        }
    }

    /// What a look at a key of an earlier run comes to.
    pub(super) fn looked_again(&mut self, key: Key, looked: RowDiff, desk: &mut Desk<'_>) {
        let rows = looked.image.map(|digest| digest.rows);
        self.account.tally.add_read(rows);
        match looked.kind {
            None => self.account.healed(rows, &looked.groups),
            Some(_) => {
                let home = Arc::new(KeyRange::everything());
                self.candidate(CandidateKey { key, image: looked.image }, home, desk);
            }
        }
    }
}
