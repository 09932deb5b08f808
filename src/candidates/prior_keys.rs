//! What is known of a mapping from prior runs: keys and ranges that differed, and, in a slice, what a
//! first recheck of these keys has returned.

use crate::chunks::Later;
use crate::compare::Looked;
use crate::finding::NotRecalled;
use crate::row::{Bound, Key, KeyOrder, KeyRange};

/// What a mapping is to look at again.
#[derive(Debug, Default)]
pub(crate) struct Again {
    pub(crate) keys: Vec<Key>,
    /// In key order, with about how many rows each has.
    pub(crate) ranges: Vec<(KeyRange, u64)>,
    pub(crate) null_keys: bool,
    /// What is left out, and why.
    pub(crate) not_recalled: Option<NotRecalled>,
}

/// What one mapping's slice begins with.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) again: Again,
    /// Every stretch, the one first that has gone unverified for longest.
    pub(crate) stretches: Vec<Later>,
}

/// Keys that were looked at before their stretch is scanned, with what was seen.
#[derive(Debug, Default)]
pub(crate) struct Recalled {
    keys: Vec<(Key, Option<Looked>)>,
    sorted: bool,
}

impl Recalled {
    pub(crate) fn add(&mut self, key: Key, looked: Looked) {
        self.keys.push((key, Some(looked)));
        self.sorted = false;
    }

    /// Takes out the keys of a range. Gives those that were seen to agree.
    pub(crate) fn take(&mut self, range: &KeyRange, order: &KeyOrder) -> Vec<&Key> {
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

    /// Returns the keys of ranges that were not scanned.
    pub(crate) fn into_left(self) -> impl Iterator<Item = (Key, Looked)> {
        self.keys.into_iter().filter_map(|(key, looked)| Some((key, looked?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Kind;
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
        for (number, kind) in [(9, None), (5, Some(Kind::Mismatch)), (6, None), (2, None)] {
            let looked = Looked { kind, ..Looked::default() };
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
