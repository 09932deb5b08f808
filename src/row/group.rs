//! The group of a row, and counts of rows by group.
//!
//! A group is identified by a text: the canonical form of the pair that rows are grouped by, as PostgreSQL
//! prints it. Both sides print equal values alike, so the text needs no type and no order.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// A group's value as text; `None` for NULL.
pub type Group = Option<String>;

/// The most groups of one mapping, so that memory is bounded. More are a mistake in the spec: no person reads
/// so many verdicts.
pub const MOST_GROUPS: usize = 100_000;

/// Rows by group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Listed", into = "Listed")]
pub struct GroupCounts {
    places: HashMap<Box<[u8]>, u32>,
    /// Rows by place; place 0 is that of NULL.
    rows: Vec<u64>,
    beyond: u64,
}

/// The serialized form: groups with their rows, and the rows of groups beyond the limit.
#[derive(Serialize, Deserialize)]
struct Listed(Vec<(Option<Vec<u8>>, u64)>, u64);

impl From<GroupCounts> for Listed {
    fn from(counts: GroupCounts) -> Listed {
        let groups = counts.iter().map(|(group, rows)| (group.map(<[u8]>::to_vec), rows));
        Listed(groups.collect(), counts.beyond)
    }
}

/// Reads serialized counts, if their sum does not overflow.
impl TryFrom<Listed> for GroupCounts {
    type Error = &'static str;

    fn try_from(Listed(groups, beyond): Listed) -> Result<GroupCounts, &'static str> {
        let sum = groups.iter().try_fold(beyond, |sum, (_, rows)| sum.checked_add(*rows));
        sum.ok_or("groups with more rows than there can be")?;
        let mut counts = GroupCounts { beyond, ..GroupCounts::default() };
        for (group, rows) in groups {
            let place = counts.place(group.as_deref());
            counts.add(place, rows);
        }
        Ok(counts)
    }
}

/// The place of all groups beyond the limit.
const BEYOND: u32 = u32::MAX;

impl GroupCounts {
    /// Returns the place of a group, to add rows to. `group` is its text, `None` for NULL.
    pub fn place(&mut self, group: Option<&[u8]>) -> u32 {
        if self.rows.is_empty() {
            self.rows.push(0);
        }
        let Some(text) = group else { return 0 };
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        if self.places.len() >= MOST_GROUPS {
            return BEYOND;
        }
        let place = self.rows.len() as u32;
        self.rows.push(0);
        self.places.insert(text.into(), place);
        place
    }

    /// Adds rows at a place.
    pub fn add(&mut self, place: u32, rows: u64) {
        match self.rows.get_mut(place as usize) {
            Some(count) => *count += rows,
            None => self.beyond += rows,
        }
    }

    /// Adds all rows of other counts.
    pub fn add_all(&mut self, others: &GroupCounts) {
        for (group, rows) in others.iter() {
            let place = self.place(group);
            self.add(place, rows);
        }
        self.beyond += others.beyond;
    }

    /// Returns the texts of all groups, with rows or without, by place.
    pub fn by_place(&self) -> Vec<Option<Vec<u8>>> {
        let mut texts = vec![None; self.rows.len()];
        for (text, place) in &self.places {
            if let Some(slot) = texts.get_mut(*place as usize) {
                *slot = Some(text.to_vec());
            }
        }
        texts
    }

    /// Returns the same groups with these counts of rows, by place.
    #[must_use]
    pub fn counted(&self, rows: impl Iterator<Item = (u32, u64)>) -> GroupCounts {
        let none = vec![0; self.rows.len()];
        let mut counts = GroupCounts { places: self.places.clone(), rows: none, beyond: 0 };
        rows.for_each(|(place, rows)| counts.add(place, rows));
        counts
    }

    /// Iterates over groups with their rows, in no particular order, without groups that have no rows.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&[u8]>, u64)> {
        let null = self.rows.first().map(|rows| (None, *rows));
        let named = self.places.iter().map(|(text, place)| {
            let rows = self.rows.get(*place as usize).copied().unwrap_or(0);
            (Some(text.as_ref()), rows)
        });
        null.into_iter().chain(named).filter(|(_, rows)| *rows > 0)
    }

    /// Returns how many groups have rows.
    pub fn len(&self) -> usize {
        self.places.len() + usize::from(self.rows.first().is_some_and(|rows| *rows > 0))
    }

    /// Returns whether no row was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.beyond == 0
    }

    /// Returns the rows of all groups beyond the limit together.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_by_group_and_null_is_a_group() {
        let mut counts = GroupCounts::default();
        for group in [Some(&b"7"[..]), None, Some(b"7"), Some(b"")] {
            let place = counts.place(group);
            counts.add(place, 1);
        }
        let mut sum = counts.clone();
        sum.add_all(&counts);
        let mut found: Vec<_> = sum.iter().collect();
        found.sort();
        assert_eq!(found, [(None, 2), (Some(&b""[..]), 2), (Some(b"7"), 4)]);
        assert_eq!((sum.len(), GroupCounts::default().is_empty()), (3, true));
    }

    #[test]
    fn groups_beyond_the_limit_are_counted_together() {
        let mut counts = GroupCounts::default();
        for number in 0..MOST_GROUPS as u32 + 5 {
            let place = counts.place(Some(&number.to_be_bytes()));
            counts.add(place, 1);
        }
        assert_eq!((counts.len(), counts.beyond()), (MOST_GROUPS, 5));
    }
}
