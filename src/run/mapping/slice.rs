//! One mapping's slice: the keys that are looked at first, and the stretches that are scanned then.
//!
//! A key that is looked at first may be met again when its stretch is scanned. What counts then is the
//! scan, which sees it among its neighbours; the look counts for keys to which no scan has come.

use std::collections::HashSet;
use std::sync::Arc;

use super::again::Again;
use super::{MappingState, null_keys};
use crate::compare::{RangeComparison, RowDiff};
use crate::plan::MappingPlan;
use crate::row::{Bound, Key, KeyOrder, KeyRange, VerifiedBy};
use crate::run::desk::Desk;
use crate::run::options::Options;
use crate::run::scan::ahead::Later;
use crate::run::scan::frontier::Frontier;

/// What one mapping's slice begins with.
#[derive(Debug)]
pub(in crate::run) struct Slice {
    pub(in crate::run) again: Again,
    /// Every stretch, the one first that has gone unverified for longest.
    pub(in crate::run) stretches: Vec<Later>,
}

/// Keys that were looked at before their stretch is scanned, with what was seen.
#[derive(Debug, Default)]
pub(in crate::run) struct Recalled {
    keys: Vec<(Key, Option<RowDiff>)>,
    sorted: bool,
}

impl Recalled {
    fn add(&mut self, key: Key, looked: RowDiff) {
        self.keys.push((key, Some(looked)));
        self.sorted = false;
    }

    /// Takes out the keys of a range. Gives those that were seen to agree.
    fn take(&mut self, range: &KeyRange, order: &KeyOrder) -> Vec<&Key> {
        if !std::mem::replace(&mut self.sorted, true) {
            self.keys.sort_by(|(a, ..), (b, ..)| order.compare(a, b));
        }
        let up_to = |bound: &Option<Bound>, open: usize| match bound {
            Some(bound) => {
                self.keys.partition_point(|(key, ..)| order.compare(key, &bound.key).is_le())
            }
            None => open,
        };
        let within = up_to(&range.after, 0)..up_to(&range.through, self.keys.len());
        let mut agreed = Vec::new();
        for (key, looked) in self.keys.get_mut(within).unwrap_or_default() {
            if looked.take().is_some_and(|looked| looked.kind.is_none()) {
                agreed.push(&*key);
            }
        }
        agreed
    }
}

impl MappingState {
    /// Looks at what the run before found, then scans the stretches.
    pub(in crate::run) fn slice(
        index: usize,
        plan: &Arc<MappingPlan>,
        options: &Options,
        Slice { again, stretches }: Slice,
    ) -> MappingState {
        let mut state = MappingState::again(index, plan, options, again);
        state.account.skip_nothing();
        state.tasks = null_keys(plan).into_iter().collect();
        state.frontier = Frontier::of_stretches(plan, options, stretches);
        state.recalled = Some(Recalled::default());
        state
    }

    /// Puts the look at a key aside until it is known whether its stretch is scanned. Gives it back
    /// where nothing is scanned any more.
    pub(super) fn put_aside(&mut self, key: Key, looked: RowDiff) -> Option<(Key, RowDiff)> {
        match &mut self.recalled {
            Some(recalled) => {
                recalled.add(key, looked);
                None
            }
            None => Some((key, looked)),
        }
    }

    /// A range was scanned, which says of its keys what there is to say.
    pub(super) fn scanned_after(&mut self, range: &KeyRange, compared: &RangeComparison) {
        let Some(recalled) = &mut self.recalled else { return };
        let agreed = recalled.take(range, &self.account.plan.order);
        if !agreed.is_empty() && compared.one_sided.is_none() {
            let differ: HashSet<&Key> =
                compared.candidates.iter().map(|candidate| &candidate.key).collect();
            let healed = agreed.iter().filter(|key| !differ.contains(*key)).count();
            self.account.tally.healed += healed as u64;
        }
    }

    /// Nothing more is scanned: the looks that were put aside count.
    pub(super) fn count_recalled(&mut self, desk: &mut Desk<'_>) {
        let Some(recalled) = self.recalled.take() else { return };
        for (key, looked) in recalled.keys {
            if let Some(looked) = looked {
                self.looked_again(key, looked, desk);
            }
        }
    }

    /// Scans no further: what is left is for the next slice.
    pub(in crate::run) fn leave(&mut self, desk: &mut Desk<'_>) {
        let rows = self.frontier.leave();
        if rows > 0 {
            self.account.skipped(rows);
        }
        self.take_chunks(desk);
    }

    /// Returns the run that last verified what is scanned now; mappings of one run take turns by it.
    pub(in crate::run) fn age(&self) -> Option<VerifiedBy> {
        self.frontier.last_verified().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::DivergenceKind;
    use crate::row::KeyField;

    fn key(number: u8) -> Key {
        Key::new([&[number][..]])
    }

    fn range(after: u8, through: u8) -> KeyRange {
        let bound =
            |number: u8| Some(Bound { key: key(number), text: [number.to_string()].into() });
        KeyRange { after: bound(after), through: bound(through) }
    }

    #[test]
    fn a_key_counts_by_the_look_only_if_no_scan_comes_to_it() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let mut recalled = Recalled::default();
        for (number, kind) in [(9, None), (5, Some(DivergenceKind::Mismatch)), (6, None), (2, None)]
        {
            let looked = RowDiff { kind, ..RowDiff::default() };
            recalled.add(key(number), looked);
        }
        assert_eq!(recalled.take(&range(4, 8), &order), [&key(6)]);
        assert!(recalled.take(&range(4, 8), &order).is_empty());
        let left: Vec<&Key> =
            recalled.keys.iter().filter(|(_, looked)| looked.is_some()).map(|(k, _)| k).collect();
        assert_eq!(left, [&key(2), &key(9)]);
        let everything = KeyRange { after: None, through: None };
        assert_eq!(recalled.take(&everything, &order), [&key(2), &key(9)]);
    }
}
