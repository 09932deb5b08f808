//! One mapping of a run that looks again: keys and ranges of an earlier run, and nothing else.

use std::sync::Arc;

use super::context::{Context, Settings};
use super::mapping::MappingState;
use super::prior_keys::Again;
use super::task::Task;
use crate::chunks::Frontier;
use crate::compare::{Looked, Suspected};
use crate::plan::MappingPlan;
use crate::row::{Key, KeyRange};

/// Keys of an earlier run that are looked at together.
const KEYS_AT_ONCE: usize = 1_000;

impl MappingState {
    /// The state of a mapping of which only what an earlier run found is looked at.
    pub(crate) fn again(
        index: usize,
        plan: &Arc<MappingPlan>,
        settings: &Settings,
        again: Again,
    ) -> MappingState {
        let mut state = MappingState::new(index, plan, settings);
        let Again { keys, ranges, null_keys, not_recalled } = again;
        state.account.not_recalled = not_recalled;
        state.pass = None;
        state.frontier = Frontier::of_ranges(plan, settings.chunks, ranges);
        state.tasks = null_keys.then_some(Task::NullKeys).into_iter().collect();
        state.again = keys.chunks(KEYS_AT_ONCE).map(<[Key]>::to_vec).collect();
        state.account.skipped(plan.estimated_rows().unwrap_or(0));
        state
    }

    /// Keys of an earlier run were looked at: those that differ are suspects, as if a scan had met
    /// them; those that agree have healed since.
    pub(crate) fn recalled(
        &mut self,
        keys: Vec<Key>,
        looked: Vec<Looked>,
        context: &mut Context<'_>,
    ) {
        for (key, looked) in keys.into_iter().zip(looked) {
            if let Some((key, looked)) = self.put_aside(key, looked) {
                self.looked_again(key, looked, context);
            }
        }
    }

    /// What a look at a key of an earlier run comes to.
    pub(crate) fn looked_again(&mut self, key: Key, looked: Looked, context: &mut Context<'_>) {
        let rows = looked.image.map(|digest| digest.rows);
        self.account.tally.read(rows);
        match looked.kind {
            None => self.account.healed(rows, &looked.groups),
            Some(_) => {
                let home = Arc::new(KeyRange::everything());
                self.suspect(Suspected { key, image: looked.image }, home, context);
            }
        }
    }
}
