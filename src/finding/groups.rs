//! What a mapping has come to, group by group: a tally for each value of the pair in `group_by`.
//!
//! Rows count in the group that they have on their own side. A row whose group differs between the
//! sides is a mismatch in both groups: neither can be called clean, and each side's rows still add up
//! to the mapping's.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{MappingCounts, Verdict};
use crate::row::{Group, GroupCounts, MOST_GROUPS};
use crate::schema::{BySide, Side};

/// Tallies by group.
#[derive(Debug, Default)]
pub struct GroupedCounts {
    by_group: HashMap<Group, MappingCounts>,
    unknown: BySide<u64>,
    too_many: bool,
}

/// One group of a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its value; nothing for NULL.
    pub group: Group,
    /// What it came to.
    pub verdict: Verdict,
    /// Rows read on each side.
    pub rows: BySide<u64>,
    /// Rows of the larger side whose counterpart agrees.
    pub matched: u64,
    /// Suspects that agreed at a later look.
    pub healed: u64,
    /// Rows under an agreed exception.
    pub accepted: u64,
    /// Keys confirmed as standing on the source only.
    pub only_in_source: u64,
    /// Keys confirmed as standing on the target only.
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
    /// Rows that confirmed divergence speaks of.
    pub fn divergent(&self) -> u64 {
        let GroupRecord { only_in_source, only_in_target, mismatch, .. } = self;
        only_in_source + only_in_target + mismatch + self.duplicate_key + self.null_key
    }
}

impl GroupedCounts {
    /// Rows of clean ranges and matched keys, the same on each side.
    pub fn matched(&mut self, groups: &GroupCounts) {
        for (group, rows) in groups.iter() {
            let group = group.map(|text| String::from_utf8_lossy(text).into_owned());
            let rows = BySide { source: rows, target: rows };
            self.book(&group, rows, |tally| tally.matched(rows));
        }
        if groups.beyond() > 0 {
            self.too_many = true;
            self.unknown(BySide { source: groups.beyond(), target: groups.beyond() });
        }
    }

    /// A suspect is settled: `book` enters its rows of one group, whose reading is booked here.
    pub fn settled(
        &mut self,
        groups: &BySide<Vec<Group>>,
        book: impl Fn(&mut MappingCounts, BySide<u64>),
    ) {
        let mut entered: Vec<&Group> = groups.source.iter().chain(&groups.target).collect();
        entered.sort();
        entered.dedup();
        for group in entered {
            let count = |side: Side| groups[side].iter().filter(|of| *of == group).count() as u64;
            self.part(group, BySide::new(count), &book);
        }
    }

    /// The same for rows of one group.
    pub fn part(
        &mut self,
        group: &Group,
        rows: BySide<u64>,
        book: impl Fn(&mut MappingCounts, BySide<u64>),
    ) {
        self.book(group, rows, |tally| {
            tally.read(rows);
            book(tally, rows);
        });
    }

    /// Rows whose group is not known: they were read and could not be judged.
    pub fn unknown(&mut self, rows: BySide<u64>) {
        for side in Side::BOTH {
            self.unknown[side] += rows[side];
        }
    }

    fn book(&mut self, group: &Group, rows: BySide<u64>, book: impl FnOnce(&mut MappingCounts)) {
        if let Some(tally) = self.by_group.get_mut(group) {
            return book(tally);
        }
        if self.by_group.len() >= MOST_GROUPS {
            self.too_many = true;
            return self.unknown(rows);
        }
        book(self.by_group.entry(group.clone()).or_default());
    }

    /// Whether there are more groups than can be told apart.
    pub fn too_many(&self) -> bool {
        self.too_many
    }

    /// Rows whose group is not known.
    pub fn ungrouped(&self) -> BySide<u64> {
        self.unknown
    }

    /// Whether every group's books balance, and together they hold these rows.
    pub fn balance(&self, read: BySide<u64>) -> bool {
        let held = |side: Side| -> u64 {
            let read = self.by_group.values().map(|tally| tally.books[side].read);
            read.sum::<u64>() + self.unknown[side]
        };
        self.by_group.values().all(MappingCounts::balances) && BySide::new(held) == read
    }

    /// Every group, numbers by value, then texts, then NULL.
    ///
    /// Of an undecided range nobody knows whose rows it holds: where a mapping is not complete, no
    /// group is.
    pub fn records(&self, complete: bool) -> Vec<GroupRecord> {
        let mut records: Vec<GroupRecord> =
            self.by_group.iter().map(|(group, tally)| record(group, tally, complete)).collect();
        records.sort_by_cached_key(|record| {
            let number = record.group.as_ref().and_then(|text| text.parse::<i128>().ok());
            (record.group.is_none(), number.is_none(), number, record.group.clone())
        });
        records
    }
}

fn record(group: &Group, tally: &MappingCounts, complete: bool) -> GroupRecord {
    let BySide { source, target } = tally.books;
    GroupRecord {
        group: group.clone(),
        verdict: match (complete, tally.diverged()) {
            (false, _) => Verdict::Incomplete,
            (true, true) => Verdict::Diverged,
            (true, false) => Verdict::Clean,
        },
        rows: tally.books.map(|side| side.read),
        matched: source.matched.max(target.matched),
        healed: tally.healed,
        accepted: tally.accepted,
        only_in_source: tally.only_in_source,
        only_in_target: tally.only_in_target,
        mismatch: tally.mismatch,
        duplicate_key: source.duplicate + target.duplicate,
        null_key: source.null_key + target.null_key,
        unsettled: tally.unsettled,
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
    fn a_row_whose_group_differs_makes_both_groups_diverge_and_counts_once_a_side() {
        let mut tallies = GroupedCounts::default();
        tallies.matched(&counts(&[(Some("1"), 5), (Some("2"), 7), (None, 1)]));
        let groups = BySide { source: vec![group("1")], target: vec![group("2")] };
        tallies.settled(&groups, |tally, rows| {
            tally.standing(DivergenceKind::Mismatch, Disposition::Confirmed, rows);
        });
        assert!(tallies.balance(BySide { source: 14, target: 14 }));
        assert!(!tallies.balance(BySide { source: 14, target: 13 }));
        let found: Vec<_> = tallies.records(true).into_iter().collect();
        let told: Vec<_> =
            found.iter().map(|r| (r.rows.source, r.rows.target, r.verdict)).collect();
        assert_eq!(
            told,
            [(6, 5, Verdict::Diverged), (7, 8, Verdict::Diverged), (1, 1, Verdict::Clean)]
        );
        assert_eq!(found[2].group, None);
    }

    #[test]
    fn no_group_is_complete_where_the_mapping_is_not() {
        let mut tallies = GroupedCounts::default();
        tallies.matched(&counts(&[(Some("1"), 5)]));
        assert_eq!(tallies.records(false)[0].verdict, Verdict::Incomplete);
    }

    #[test]
    fn numbers_stand_in_the_order_of_their_values() {
        let mut tallies = GroupedCounts::default();
        let groups = [Some("b"), Some("10"), None, Some("9"), Some("-1"), Some("a")];
        tallies.matched(&counts(&groups.map(|group| (group, 1))));
        let found = tallies.records(true).into_iter().map(|record| record.group);
        let expected = [Some("-1"), Some("9"), Some("10"), Some("a"), Some("b"), None];
        assert!(found.eq(expected.map(|group| group.map(str::to_owned))));
    }

    #[test]
    fn groups_that_are_too_many_are_counted_together_and_said_to_be() {
        let mut tallies = GroupedCounts::default();
        for number in 0..=MOST_GROUPS {
            let groups = BySide { source: vec![group(&number.to_string())], target: vec![] };
            tallies.settled(&groups, |tally, rows| {
                tally.standing(DivergenceKind::OnlyInSource, Disposition::Confirmed, rows);
            });
        }
        assert!(tallies.too_many());
        assert_eq!(tallies.ungrouped(), BySide { source: 1, target: 0 });
        assert!(tallies.balance(BySide { source: MOST_GROUPS as u64 + 1, target: 0 }));
    }
}
