//! Rows that are judged together and told apart: by group, and by the accept rule that covers them.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::row::{Group, GroupCounts, HashBuckets};

/// Rows of one side by group and by the place of the covering rule, if one covers them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts(BTreeMap<(Group, Option<usize>), u64>);

impl Parts {
    /// Counts rows in. Without groups every row's group is NULL.
    pub fn add(&mut self, group: Option<&[u8]>, rule: Option<usize>, rows: u64) {
        if rows > 0 {
            let group = group.map(|text| String::from_utf8_lossy(text).into_owned());
            *self.0.entry((group, rule)).or_default() += rows;
        }
    }

    /// Counts the rows of others in.
    pub fn add_all(&mut self, others: Parts) {
        for (part, rows) in others.0 {
            *self.0.entry(part).or_default() += rows;
        }
    }

    /// The same rows with no rule: what kept changing is covered by none.
    #[must_use]
    pub fn without_rules(self) -> Parts {
        let mut parts = Parts::default();
        for ((group, _), rows) in self.0 {
            *parts.0.entry((group, None)).or_default() += rows;
        }
        parts
    }

    /// Group, rule and rows of each part.
    pub fn iter(&self) -> impl Iterator<Item = (&Group, Option<usize>, u64)> {
        self.0.iter().map(|((group, rule), rows)| (group, *rule, *rows))
    }

    /// Whether a rule covers some of the rows.
    pub fn has_rules(&self) -> bool {
        self.0.keys().any(|(_, rule)| rule.is_some())
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.0.values().sum()
    }
}

/// The groups of the rows that matched, kept beside the drill-down: rows count as matched while their
/// digests agree, and no longer once they have to be read.
#[derive(Debug, Default)]
pub struct MatchedGroups {
    whole: GroupCounts,
    classes: HashMap<u32, GroupCounts>,
    paired: GroupCounts,
}

impl MatchedGroups {
    /// The range has one digest, and these rows.
    pub fn whole(&mut self, groups: GroupCounts) {
        self.whole = groups;
    }

    /// The range has a digest for each class, and each these rows.
    pub fn by_class(&mut self, classes: HashMap<u32, GroupCounts>) {
        self.whole = GroupCounts::default();
        self.classes = classes;
    }

    /// The rows of these classes are read, or all.
    pub fn read(&mut self, chosen: Option<&HashBuckets>) {
        self.whole = GroupCounts::default();
        match chosen {
            Some(classes) => classes.chosen.iter().for_each(|c| drop(self.classes.remove(c))),
            None => self.classes.clear(),
        }
    }

    /// Rows that were read agree.
    pub fn paired(&mut self, groups: &GroupCounts) {
        self.paired.add_all(groups);
    }

    /// The groups of everything that matched.
    pub fn finish(self) -> GroupCounts {
        let MatchedGroups { whole, classes, mut paired } = self;
        paired.add_all(&whole);
        classes.values().for_each(|groups| paired.add_all(groups));
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
    fn rows_that_are_read_count_by_what_was_paired() {
        let mut groups = MatchedGroups::default();
        groups.whole(counts("a", 9));
        groups.by_class([(0, counts("a", 4)), (1, counts("a", 5))].into());
        groups.read(Some(&HashBuckets { of: 2, chosen: vec![1] }));
        groups.paired(&counts("b", 3));
        let mut found: Vec<_> =
            groups.finish().iter().map(|(g, n)| (g.unwrap().to_vec(), n)).collect();
        found.sort();
        assert_eq!(found, [(b"a".to_vec(), 4), (b"b".to_vec(), 3)]);
    }

    #[test]
    fn parts_lose_their_rules_and_keep_their_groups() {
        let mut parts = Parts::default();
        parts.add(Some(b"a"), Some(1), 2);
        parts.add(Some(b"a"), None, 3);
        parts.add(None, None, 4);
        assert_eq!((parts.rows(), parts.iter().count()), (9, 3));
        let parts = parts.without_rules();
        assert_eq!((parts.rows(), parts.iter().count()), (9, 2));
    }
}
