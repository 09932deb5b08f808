//! Counts of rows by group and by the accept rule that covers them.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::row::{Classes, Group, GroupCounts};

/// Rows of one side by group and by the index of the accept rule that covers them, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCounts(BTreeMap<(Group, Option<usize>), u64>);

impl PartCounts {
    /// Adds rows. Without groups the group of every row is NULL.
    pub fn add(&mut self, group: Option<&[u8]>, rule: Option<usize>, rows: u64) {
        if rows > 0 {
            let group = group.map(|text| String::from_utf8_lossy(text).into_owned());
            *self.0.entry((group, rule)).or_default() += rows;
        }
    }

    /// Adds all rows of others.
    pub fn add_all(&mut self, others: PartCounts) {
        for (part, rows) in others.0 {
            *self.0.entry(part).or_default() += rows;
        }
    }

    /// Returns the same rows without rules: no rule covers what kept changing.
    #[must_use]
    pub fn without_rules(self) -> PartCounts {
        let mut parts = PartCounts::default();
        for ((group, _), rows) in self.0 {
            *parts.0.entry((group, None)).or_default() += rows;
        }
        parts
    }

    /// Returns group, rule and rows of each part.
    pub fn iter(&self) -> impl Iterator<Item = (&Group, Option<usize>, u64)> {
        self.0.iter().map(|((group, rule), rows)| (group, *rule, *rows))
    }

    /// Returns whether a rule covers some of the rows.
    pub fn has_rules(&self) -> bool {
        self.0.keys().any(|(_, rule)| rule.is_some())
    }

    /// Returns how many parts there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many rows there are in all parts.
    pub fn rows(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Groups of the rows that matched, counted beside the drill-down: rows count as matched while their
/// digests agree, and no longer when they have to be read.
#[derive(Debug, Default)]
pub struct MatchedGroups {
    whole: GroupCounts,
    buckets: HashMap<u32, GroupCounts>,
    paired: GroupCounts,
}

impl MatchedGroups {
    /// Sets the groups of a range that has one digest.
    pub fn set_whole(&mut self, groups: GroupCounts) {
        self.whole = groups;
    }

    /// Sets the groups of a range that has a digest for each hash bucket, by bucket.
    pub fn set_buckets(&mut self, buckets: HashMap<u32, GroupCounts>) {
        self.whole = GroupCounts::default();
        self.buckets = buckets;
    }

    /// Forgets the groups of these hash buckets, or of all: their rows are read.
    pub fn forget_read(&mut self, chosen: Option<&Classes>) {
        self.whole = GroupCounts::default();
        match chosen {
            Some(read) => read.chosen.iter().for_each(|bucket| drop(self.buckets.remove(bucket))),
            None => self.buckets.clear(),
        }
    }

    /// Adds the groups of rows that were read and agree.
    pub fn add_matched(&mut self, groups: &GroupCounts) {
        self.paired.add_all(groups);
    }

    /// Returns the groups of all rows that matched.
    pub fn finish(self) -> GroupCounts {
        let MatchedGroups { whole, buckets, mut paired } = self;
        paired.add_all(&whole);
        buckets.values().for_each(|groups| paired.add_all(groups));
        paired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(group: &str, rows: u64) -> GroupCounts {
        let mut counts = GroupCounts::default();
        let place = counts.place(Some(group.as_bytes()));
        counts.add(place, rows);
        counts
    }

    #[test]
    fn groups_of_rows_that_are_read_are_those_that_were_paired() {
        let mut groups = MatchedGroups::default();
        groups.set_whole(counts("a", 9));
        groups.set_buckets([(0, counts("a", 4)), (1, counts("a", 5))].into());
        groups.forget_read(Some(&Classes { of: 2, chosen: vec![1] }));
        groups.add_matched(&counts("b", 3));
        let mut found: Vec<_> =
            groups.finish().iter().map(|(g, n)| (g.unwrap().to_vec(), n)).collect();
        found.sort();
        assert_eq!(found, [(b"a".to_vec(), 4), (b"b".to_vec(), 3)]);
    }

    #[test]
    fn parts_lose_their_rules_and_keep_their_groups() {
        let mut parts = PartCounts::default();
        parts.add(Some(b"a"), Some(1), 2);
        parts.add(Some(b"a"), None, 3);
        parts.add(None, None, 4);
        assert_eq!((parts.rows(), parts.iter().count()), (9, 3));
        let parts = parts.without_rules();
        assert_eq!((parts.rows(), parts.iter().count()), (9, 2));
    }
}
