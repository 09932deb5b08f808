//! Row counts by group: one set of counters for each value of the pair in `group_by`.
//!
//! A row counts in the group that it has on its own side. A row whose group differs between the
//! sides is a mismatch in both groups: neither is clean, and each side's rows still add up to the
//! mapping's.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{MappingCounts, Verdict};
use crate::row::{Group, GroupCounts, MOST_GROUPS};
use crate::schema::{BySide, Side};

/// Row counts by group.
#[derive(Debug, Default)]
pub struct GroupedCounts {
    by_group: HashMap<Group, MappingCounts>,
    ungrouped: BySide<u64>,
    too_many: bool,
}

/// The record of one group of a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// The group's value; `None` for NULL.
    pub group: Group,
    /// Its verdict.
    pub verdict: Verdict,
    /// Rows read on each side.
    pub rows: BySide<u64>,
    /// Rows of the larger side whose counterpart agrees.
    pub matched: u64,
    /// Candidates that agreed when rechecked.
    pub healed: u64,
    /// Rows under an agreed exception.
    pub accepted: u64,
    /// Keys confirmed as on the source only.
    pub only_in_source: u64,
    /// Keys confirmed as on the target only.
    pub only_in_target: u64,
    /// Keys confirmed as different; one whose group differs counts in both groups.
    pub mismatch: u64,
    /// Rows of keys that more than one row of a side has, on both sides.
    pub duplicate_key: u64,
    /// Rows with a NULL in their key, on both sides.
    pub null_key: u64,
    /// Rows that kept changing.
    pub unsettled: u64,
}

impl GroupRecord {
    /// Returns the rows of confirmed differences.
    pub fn divergent(&self) -> u64 {
        let GroupRecord { only_in_source, only_in_target, mismatch, .. } = self;
        only_in_source + only_in_target + mismatch + self.duplicate_key + self.null_key
    }
}

impl GroupedCounts {
    /// Adds rows of clean ranges and matched keys, the same on each side.
    pub fn add_matched(&mut self, groups: &GroupCounts) {
        for (group, rows) in groups.iter() {
            let group = group.map(|text| String::from_utf8_lossy(text).into_owned());
            let rows = BySide { source: rows, target: rows };
            self.add(&group, rows, |counts| counts.add_matched(rows));
        }
        if groups.beyond() > 0 {
            self.too_many = true;
            self.add_ungrouped(BySide { source: groups.beyond(), target: groups.beyond() });
        }
    }

    /// Adds the rows of a candidate that is settled. They count as read; `add` counts the outcome,
    /// group by group.
    pub fn add_settled(
        &mut self,
        groups: &BySide<Vec<Group>>,
        add: impl Fn(&mut MappingCounts, BySide<u64>),
    ) {
        let mut all: Vec<&Group> = groups.source.iter().chain(&groups.target).collect();
        all.sort();
        all.dedup();
        for group in all {
            let count = |side: Side| groups[side].iter().filter(|of| *of == group).count() as u64;
            self.add_rows(group, BySide::new(count), &add);
        }
    }

    /// Adds rows of one group. They count as read; `add` counts the outcome.
    pub fn add_rows(
        &mut self,
        group: &Group,
        rows: BySide<u64>,
        add: impl Fn(&mut MappingCounts, BySide<u64>),
    ) {
        self.add(group, rows, |counts| {
            counts.add_read(rows);
            add(counts, rows);
        });
    }

    /// Adds rows whose group is not known: they were read and could not be judged.
    pub fn add_ungrouped(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.ungrouped[side] += rows[side];
        }
    }

    fn add(&mut self, group: &Group, rows: BySide<u64>, add: impl FnOnce(&mut MappingCounts)) {
        if let Some(counts) = self.by_group.get_mut(group) {
            return add(counts);
        }
        if self.by_group.len() >= MOST_GROUPS {
            self.too_many = true;
            return self.add_ungrouped(rows);
        }
        add(self.by_group.entry(group.clone()).or_default());
    }

    /// Returns whether there are more groups than are counted separately.
    pub fn has_too_many(&self) -> bool {
        self.too_many
    }

    /// Returns the rows whose group is not known.
    pub fn ungrouped(&self) -> BySide<u64> {
        self.ungrouped
    }

    /// Returns whether every group's counts are balanced, and their sum is what was read.
    pub fn is_balanced(&self, read: BySide<u64>) -> bool {
        let held = |side: Side| -> u64 {
            let read = self.by_group.values().map(|counts| counts.books[side].read);
            read.sum::<u64>() + self.ungrouped[side]
        };
        self.by_group.values().all(MappingCounts::is_balanced) && BySide::new(held) == read
    }

    /// Returns the record of every group: numbers by value, then texts, then NULL.
    ///
    /// The groups of an undecided range's rows are not known, so if the mapping is incomplete,
    /// every group is.
    pub fn records(&self, complete: bool) -> Vec<GroupRecord> {
        let mut records: Vec<GroupRecord> =
            self.by_group.iter().map(|(group, counts)| record(group, counts, complete)).collect();
        records.sort_by_cached_key(|record| {
            let number = record.group.as_ref().and_then(|text| text.parse::<i128>().ok());
            (record.group.is_none(), number.is_none(), number, record.group.clone())
        });
        records
    }
}

fn record(group: &Group, counts: &MappingCounts, complete: bool) -> GroupRecord {
    let BySide { source, target } = counts.books;
    GroupRecord {
        group: group.clone(),
        verdict: match (complete, counts.has_diverged()) {
            (false, _) => Verdict::Incomplete,
            (true, true) => Verdict::Diverged,
            (true, false) => Verdict::Clean,
        },
        rows: counts.books.map(|side| side.read),
        matched: source.matched.max(target.matched),
        healed: counts.healed,
        accepted: counts.accepted,
        only_in_source: counts.only_in_source,
        only_in_target: counts.only_in_target,
        mismatch: counts.mismatch,
        duplicate_key: source.duplicate + target.duplicate,
        null_key: source.null_key + target.null_key,
        unsettled: counts.unsettled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Disposition, DivergenceKind};

    fn group(text: &str) -> Group {
        Some(text.to_owned())
    }

    fn counts(groups: &[(Option<&str>, u64)]) -> GroupCounts {
        let mut counts = GroupCounts::default();
        for (group, rows) in groups {
            let place = counts.place(group.map(str::as_bytes));
            counts.add(place, *rows);
        }
        counts
    }

    #[test]
    fn a_row_whose_group_differs_makes_both_groups_diverge() {
        let mut by_group = GroupedCounts::default();
        by_group.add_matched(&counts(&[(Some("1"), 5), (Some("2"), 7), (None, 1)]));
        let groups = BySide { source: vec![group("1")], target: vec![group("2")] };
        by_group.add_settled(&groups, |counts, rows| {
            counts.add_differing(DivergenceKind::Mismatch, Disposition::Confirmed, rows);
        });
        assert!(by_group.is_balanced(BySide { source: 14, target: 14 }));
        assert!(!by_group.is_balanced(BySide { source: 14, target: 13 }));
        let found: Vec<_> = by_group.records(true).into_iter().collect();
        let verdicts: Vec<_> =
            found.iter().map(|r| (r.rows.source, r.rows.target, r.verdict)).collect();
        assert_eq!(
            verdicts,
            [(6, 5, Verdict::Diverged), (7, 8, Verdict::Diverged), (1, 1, Verdict::Clean)]
        );
        assert_eq!(found[2].group, None);
    }

    #[test]
    fn no_group_of_an_incomplete_mapping_is_complete() {
        let mut by_group = GroupedCounts::default();
        by_group.add_matched(&counts(&[(Some("1"), 5)]));
        assert_eq!(by_group.records(false)[0].verdict, Verdict::Incomplete);
    }

    #[test]
    fn numbers_are_sorted_by_value() {
        let mut by_group = GroupedCounts::default();
        let groups = [Some("b"), Some("10"), None, Some("9"), Some("-1"), Some("a")];
        by_group.add_matched(&counts(&groups.map(|group| (group, 1))));
        let found = by_group.records(true).into_iter().map(|record| record.group);
        let expected = [Some("-1"), Some("9"), Some("10"), Some("a"), Some("b"), None];
        assert!(found.eq(expected.map(|group| group.map(str::to_owned))));
    }

    #[test]
    fn too_many_groups_are_counted_together() {
        let mut by_group = GroupedCounts::default();
        for number in 0..=MOST_GROUPS {
            let groups = BySide { source: vec![group(&number.to_string())], target: vec![] };
            by_group.add_settled(&groups, |counts, rows| {
                counts.add_differing(DivergenceKind::OnlyInSource, Disposition::Confirmed, rows);
            });
        }
        assert!(by_group.has_too_many());
        assert_eq!(by_group.ungrouped(), BySide { source: 1, target: 0 });
        assert!(by_group.is_balanced(BySide { source: MOST_GROUPS as u64 + 1, target: 0 }));
    }
}
