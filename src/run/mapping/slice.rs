//! One mapping's slice: the keys that are looked at first, and the stretches that are scanned then.
//!
//! A key that is looked at first is met again when its stretch is scanned; it is counted once, by the
//! look.

use std::sync::Arc;

use super::again::Again;
use super::{MappingState, null_keys};
use crate::compare::{Compared, Looked};
use crate::plan::MappingPlan;
use crate::row::{Bound, Digest, Group, Key, KeyOrder, KeyRange};
use crate::run::desk::Desk;
use crate::run::options::Options;
use crate::run::scan::ahead::Later;
use crate::run::scan::frontier::Frontier;
use crate::schema::BySide;

/// What one mapping's slice begins with.
#[derive(Debug)]
pub(in crate::run) struct Slice {
    pub(in crate::run) again: Again,
    /// Every stretch, the one first that has gone unverified for longest.
    pub(in crate::run) stretches: Vec<Later>,
}

/// Keys that were looked at before their stretch is scanned.
#[derive(Debug, Default)]
pub(in crate::run) struct Recalled {
    keys: Vec<(Key, BySide<Digest>, BySide<Vec<Group>>)>,
    sorted: bool,
}

impl Recalled {
    fn add(&mut self, key: &Key, looked: &Looked) {
        self.keys.push((key.clone(), looked.image, looked.groups.clone()));
        self.sorted = false;
    }

    /// Takes out of a scanned range what the looks at its keys have counted.
    fn discount(&mut self, range: &KeyRange, compared: &mut Compared, order: &KeyOrder) {
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
        for (key, image, groups) in self.keys.get(within).unwrap_or_default() {
            let before = compared.suspects.len();
            compared.suspects.retain(|suspected| suspected.key != *key);
            if compared.suspects.len() < before {
                continue;
            }
            if let Some((side, digest)) = &mut compared.lone {
                digest.take_out(image[*side]);
                continue;
            }
            // It agrees now, so it is there on both sides, unless neither had it.
            if image.any(|digest| digest.rows > 0) && compared.matched > 0 {
                compared.matched -= 1;
                let group = groups.source.first().or(groups.target.first());
                let group = group.and_then(|group| group.as_deref()).map(str::as_bytes);
                compared.groups.take_out(group);
            }
        }
        if compared.lone.is_some_and(|(_, digest)| digest.rows == 0) {
            compared.lone = None;
        }
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

    /// A key of the run before was looked at.
    pub(in crate::run) fn counted(&mut self, key: &Key, looked: &Looked) {
        if let Some(recalled) = &mut self.recalled {
            recalled.add(key, looked);
        }
    }

    /// Takes out of what a chunk came to what was counted before it.
    pub(in crate::run) fn discount(&mut self, range: &KeyRange, compared: &mut Compared) {
        if let Some(recalled) = &mut self.recalled {
            recalled.discount(range, compared, &self.account.plan.order);
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

    /// When what is scanned now was last verified; mappings of one run take turns by it.
    pub(in crate::run) fn age(&self) -> Option<String> {
        self.frontier.last_verified().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Suspected;
    use crate::row::{Fingerprint, KeyField};
    use crate::schema::Side;

    fn key(number: u8) -> Key {
        Key::new([&[number][..]])
    }

    fn range(after: u8, through: u8) -> KeyRange {
        let bound =
            |number: u8| Some(Bound { key: key(number), text: [number.to_string()].into() });
        KeyRange { after: bound(after), through: bound(through) }
    }

    fn image(source: u64, target: u64) -> BySide<Digest> {
        let digest = |rows: u64| {
            let mut digest = Digest::default();
            (0..rows).for_each(|_| digest.add(Fingerprint::of_row_hash(3)));
            digest
        };
        BySide { source: digest(source), target: digest(target) }
    }

    fn recalled(keys: &[(u8, BySide<Digest>)]) -> Recalled {
        let keys = keys.iter().map(|(number, image)| (key(*number), *image, BySide::default()));
        Recalled { keys: keys.collect(), sorted: false }
    }

    #[test]
    fn a_key_that_was_looked_at_is_counted_once() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let mut recalled =
            recalled(&[(9, image(1, 1)), (5, image(1, 1)), (6, image(0, 0)), (2, image(1, 0))]);
        // 5 differs, 6 is gone from both sides, 9 and 2 lie elsewhere
        let suspect = |number| Suspected { key: key(number), image: image(1, 1) };
        let mut compared =
            Compared { matched: 10, suspects: vec![suspect(5), suspect(7)], ..Compared::default() };
        recalled.discount(&range(4, 8), &mut compared, &order);
        assert_eq!((compared.matched, compared.suspects.as_slice()), (10, &[suspect(7)][..]));
        // 9 has healed
        recalled.discount(&range(8, 12), &mut compared, &order);
        assert_eq!(compared.matched, 9);
        // 2 was the only row of its side
        let mut lone =
            Compared { lone: Some((Side::Source, image(1, 0).source)), ..Compared::default() };
        recalled.discount(&range(0, 4), &mut lone, &order);
        assert_eq!(lone.lone, None);
    }
}
