//! What prior runs found of a mapping: keys and ranges that differed and, in a slice, what a first recheck
//! of these keys has returned.

use crate::chunks::ScanRange;
use crate::compare::RowDiff;
use crate::finding::NotRecalled;
use crate::row::{Bound, Key, KeyOrder, KeyRange};

/// What a prior run found of a mapping.
#[derive(Debug, Default)]
pub(crate) struct PriorFindings {
    pub(crate) keys: Vec<Key>,
    /// One-sided ranges in key order, with their estimated rows.
    pub(crate) ranges: Vec<(KeyRange, u64)>,
    pub(crate) null_keys: bool,
    /// What is left out, and why.
    pub(crate) not_recalled: Option<NotRecalled>,
}

/// The slice of one mapping.
#[derive(Debug)]
pub(crate) struct SlicePlan {
    pub(crate) prior: PriorFindings,
    /// All ranges, the one first that has not been verified for the longest time.
    pub(crate) ranges: Vec<ScanRange>,
}

/// Keys that were rechecked before their range is scanned, with the result of the recheck.
#[derive(Debug, Default)]
pub(crate) struct PriorKeys {
    keys: Vec<(Key, Option<RowDiff>)>,
    is_sorted: bool,
}

impl PriorKeys {
    /// Adds a key with the result of its recheck.
    pub(crate) fn add(&mut self, key: Key, diff: RowDiff) {
        self.keys.push((key, Some(diff)));
        self.is_sorted = false;
    }

    /// Removes the keys of a range. Returns those on which the sides agreed.
    pub(crate) fn take(&mut self, range: &KeyRange, order: &KeyOrder) -> Vec<&Key> {
        if !std::mem::replace(&mut self.is_sorted, true) {
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
        for (key, diff) in self.keys.get_mut(within).unwrap_or_default() {
            if diff.take().is_some_and(|diff| diff.kind.is_none()) {
                agreed.push(&*key);
            }
        }
        agreed
    }

    /// Returns the keys whose ranges were not scanned.
    pub(crate) fn into_unscanned(self) -> impl Iterator<Item = (Key, RowDiff)> {
        self.keys.into_iter().filter_map(|(key, diff)| Some((key, diff?)))
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
    fn a_recheck_counts_only_for_keys_that_are_not_scanned() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let mut prior = PriorKeys::default();
        for (number, kind) in [(9, None), (5, Some(DivergenceKind::Mismatch)), (6, None), (2, None)]
        {
            let diff = RowDiff { kind, ..RowDiff::default() };
            prior.add(key(number), diff);
        }
        assert_eq!(prior.take(&range(4, 8), &order), [&key(6)]);
        assert!(prior.take(&range(4, 8), &order).is_empty());
        let left: Vec<&Key> =
            prior.keys.iter().filter(|(_, diff)| diff.is_some()).map(|(k, _)| k).collect();
        assert_eq!(left, [&key(2), &key(9)]);
        let everything = KeyRange { after: None, through: None };
        assert_eq!(prior.take(&everything, &order), [&key(2), &key(9)]);
    }
}
