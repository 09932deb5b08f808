//! One mapping's slice: the keys that are looked at first, and the stretches that are scanned then.
//!
//! A key that is looked at first may be met again when its stretch is scanned. What counts then is the
//! scan, which sees it among its neighbours; the look counts for keys to which no scan has come.

use std::collections::HashSet;
use std::sync::Arc;

use super::context::{Context, Settings};
use super::mapping::{MappingState, null_keys};
use super::prior_keys::{Recalled, Slice};
use crate::chunks::Frontier;
use crate::compare::{Compared, Looked};
use crate::plan::MappingPlan;
use crate::row::{Key, KeyRange, VerifiedBy};

impl MappingState {
    /// Looks at what the run before found, then scans the stretches.
    pub(crate) fn slice(
        index: usize,
        plan: &Arc<MappingPlan>,
        settings: &Settings,
        Slice { again, stretches }: Slice,
    ) -> MappingState {
        let mut state = MappingState::again(index, plan, settings, again);
        state.account.skip_nothing();
        state.tasks = null_keys(plan).into_iter().collect();
        state.frontier = Frontier::of_stretches(plan, settings.chunks, stretches);
        state.recalled = Some(Recalled::default());
        state
    }

    /// Puts the look at a key aside until it is known whether its stretch is scanned. Gives it back
    /// where nothing is scanned any more.
    pub(crate) fn put_aside(&mut self, key: Key, looked: Looked) -> Option<(Key, Looked)> {
        match &mut self.recalled {
            Some(recalled) => {
                recalled.add(key, looked);
                None
            }
            None => Some((key, looked)),
        }
    }

    /// A range was scanned, which says of its keys what there is to say.
    pub(crate) fn scanned_after(&mut self, range: &KeyRange, compared: &Compared) {
        let Some(recalled) = &mut self.recalled else { return };
        let agreed = recalled.take(range, &self.account.plan.order);
        if !agreed.is_empty() && compared.lone.is_none() {
            let differ: HashSet<&Key> =
                compared.suspects.iter().map(|suspect| &suspect.key).collect();
            let healed = agreed.iter().filter(|key| !differ.contains(*key)).count();
            self.account.tally.healed += healed as u64;
        }
    }

    /// Nothing more is scanned: the looks that were put aside count.
    pub(crate) fn count_recalled(&mut self, context: &mut Context<'_>) {
        let Some(recalled) = self.recalled.take() else { return };
        for (key, looked) in recalled.into_left() {
            self.looked_again(key, looked, context);
        }
    }

    /// Scans no further: what is left is for the next slice.
    pub(crate) fn leave(&mut self, context: &mut Context<'_>) {
        let rows = self.frontier.leave();
        if rows > 0 {
            self.account.skipped(rows);
        }
        self.take_chunks(context);
    }

    /// Returns the run that last verified what is scanned now; mappings of one run take turns by it.
    pub(crate) fn age(&self) -> Option<VerifiedBy> {
        self.frontier.last_verified().cloned()
    }
}
