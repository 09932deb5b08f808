//! Drilling down: from a range whose digests differ to the keys that do.
//!
//! ```text
//!        few differences expected          some                        many
//!               │                            │                           │
//!        one digest a side ── differ ─▶ digests by class ── dirty ─▶ keys and row hashes,
//!               │                            │              classes      paired in memory
//!             clean                   clean classes matched
//! ```
//!
//! A class is the low bits of the key's hash, so the steps need no boundaries and no order. With n
//! rows and d differences, classes of sqrt(n / d) rows make the digests and the rows that have to be
//! fetched about equally many. A scan that keeps finding differences asks for the classes at once:
//! hashing a range twice would cost twice as much.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Suspected;
use crate::row::{Digest, GroupCounts, HashBuckets};
use crate::schema::{BySide, Side};

/// Rows that may be in hand at once.
const ROWS_IN_HAND: u64 = 100_000;
/// With fewer rows than this a digest by class would not pay.
const ROWS_AT_ONCE: u64 = 2_000;
/// More classes than this make a hashed aggregation slower than they save, well before they would
/// spill at PostgreSQL's default work_mem.
const MOST_CLASSES: u64 = 1 << 12;

/// A digest, and how many different keys its rows have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeDigest {
    /// Count and sum.
    pub digest: Digest,
    /// Different keys; as many as rows unless there are duplicates.
    pub distinct: u64,
}

impl RangeDigest {
    fn has_duplicates(self) -> bool {
        self.distinct < self.digest.rows
    }
}

/// What is expected of a range before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Rows of the larger side.
    pub rows: u64,
    /// Keys that differ.
    pub differences: u64,
}

/// What is to be asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One digest of the range, of both sides.
    Digest,
    /// A digest of each of so many classes, of both sides.
    ByClass(u32),
    /// Keys and row hashes of these classes, or of the whole range, of both sides.
    Rows(Option<HashBuckets>),
    /// Nothing more.
    Done(Compared),
}

/// What a range came to at first sight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Rows read on each side.
    pub rows: BySide<u64>,
    /// Rows of each side whose counterpart agrees.
    pub matched: u64,
    /// Keys that differ, in no particular order.
    pub suspects: Vec<Suspected>,
    /// The only side that has rows, with their digest; then no suspects are named.
    pub lone: Option<(Side, Digest)>,
    /// The groups of the rows that matched, where there are groups.
    pub groups: GroupCounts,
}

/// One range on its way down.
#[derive(Debug)]
pub struct Drill {
    parts: Vec<Option<HashBuckets>>,
    so_far: Compared,
    digest: BySide<Digest>,
    duplicates: bool,
}

impl Drill {
    /// Begins with what is expected.
    pub fn begin(expected: Expectation) -> (Drill, Step) {
        let mut drill = Drill {
            parts: Vec::new(),
            so_far: Compared::default(),
            digest: BySide::default(),
            duplicates: false,
        };
        let dense = expected.differences.saturating_mul(4) >= expected.rows;
        let step = match expected {
            Expectation { differences: 0, .. } => Step::Digest,
            Expectation { rows, .. } if rows <= ROWS_AT_ONCE && !dense => Step::Digest,
            Expectation { rows, differences } => drill.descend(rows, differences),
        };
        (drill, step)
    }

    /// The whole range's digests are known.
    pub fn digests(&mut self, found: BySide<RangeDigest>) -> Step {
        let rows = found.map(|side| side.digest.rows);
        if found.any(|side| side.has_duplicates()) {
            return self.rows_in_parts(rows.source.max(rows.target));
        }
        if found.source.digest == found.target.digest {
            self.so_far = Compared { rows, matched: rows.source, ..Compared::default() };
            return self.done();
        }
        self.digest = found.map(|side| side.digest);
        self.so_far.rows = rows;
        if self.is_lone() {
            return self.done();
        }
        self.so_far.rows = BySide::default();
        self.digest = BySide::default();
        self.descend(rows.source.max(rows.target), rows.source.abs_diff(rows.target).max(1))
    }

    /// The digests by class are known.
    pub fn by_class(&mut self, of: u32, found: BySide<BTreeMap<u32, RangeDigest>>) -> Step {
        let mut dirty: Vec<(u32, u64)> = Vec::new();
        let mut total = BySide::<Digest>::default();
        let classes = found.source.keys().chain(found.target.keys());
        let classes: std::collections::BTreeSet<u32> = classes.copied().collect();
        for class in classes {
            let digests = BySide::new(|side| found[side].get(&class).copied().unwrap_or_default());
            total.source += digests.source.digest;
            total.target += digests.target.digest;
            let duplicates = digests.any(|side| side.has_duplicates());
            self.duplicates |= duplicates;
            if digests.source.digest == digests.target.digest && !duplicates {
                self.so_far.matched += digests.source.digest.rows;
                self.so_far.rows.source += digests.source.digest.rows;
                self.so_far.rows.target += digests.target.digest.rows;
            } else {
                let rows = digests.source.digest.rows.max(digests.target.digest.rows);
                dirty.push((class, rows));
            }
        }
        let lone_rows = total.map(|digest| digest.rows);
        if (lone_rows.source == 0) != (lone_rows.target == 0) && !self.duplicates {
            self.so_far.rows = lone_rows;
            self.digest = total;
            return self.done();
        }
        self.parts = parts(of, &dirty, ROWS_IN_HAND).into_iter().map(Some).collect();
        self.next_part()
    }

    /// The rows of one part are paired: its counts, what matched, what differs.
    pub fn rows(
        &mut self,
        rows: BySide<u64>,
        digest: BySide<Digest>,
        matched: u64,
        suspects: Vec<Suspected>,
    ) -> Step {
        for side in Side::BOTH {
            self.so_far.rows[side] += rows[side];
            self.digest[side] += digest[side];
        }
        self.so_far.matched += matched;
        self.duplicates |=
            suspects.iter().any(|suspect| suspect.image.any(|digest| digest.rows > 1));
        self.so_far.suspects.extend(suspects);
        self.next_part()
    }

    /// How to go on with so many rows and differences.
    fn descend(&mut self, rows: u64, differences: u64) -> Step {
        if rows <= ROWS_AT_ONCE || differences.saturating_mul(4) >= rows {
            return self.rows_in_parts(rows);
        }
        // The square root makes digests and fetched rows equally many; a row costs more than a digest
        // on the wire, but a class costs the aggregation more than a row, hence the half.
        let classes = (rows.saturating_mul(differences) as f64).sqrt() as u64 / 2;
        let of = classes.next_power_of_two().clamp(2, MOST_CLASSES);
        Step::ByClass(of as u32)
    }

    fn rows_in_parts(&mut self, rows: u64) -> Step {
        let of = rows.div_ceil(ROWS_IN_HAND).next_power_of_two().min(MOST_CLASSES) as u32;
        self.parts = match of {
            1 => vec![None],
            of => (0..of).map(|class| Some(HashBuckets { of, chosen: vec![class] })).collect(),
        };
        self.next_part()
    }

    fn next_part(&mut self) -> Step {
        match self.parts.pop() {
            Some(classes) => Step::Rows(classes),
            None => self.done(),
        }
    }

    fn is_lone(&self) -> bool {
        let rows = self.so_far.rows;
        !self.duplicates && (rows.source == 0) != (rows.target == 0)
    }

    fn done(&mut self) -> Step {
        let mut compared = std::mem::take(&mut self.so_far);
        let lone = !self.duplicates && (compared.rows.source == 0) != (compared.rows.target == 0);
        if lone {
            let side = if compared.rows.source == 0 { Side::Target } else { Side::Source };
            compared.lone = Some((side, self.digest[side]));
            compared.suspects.clear();
        }
        Step::Done(compared)
    }
}

/// Dirty classes with their rows, put together into parts of at most so many rows.
pub(super) fn parts(of: u32, dirty: &[(u32, u64)], most: u64) -> Vec<HashBuckets> {
    let mut parts: Vec<(HashBuckets, u64)> = Vec::new();
    for (class, rows) in dirty {
        match parts.last_mut() {
            Some((classes, held)) if *held + rows <= most => {
                classes.chosen.push(*class);
                *held += rows;
            }
            _ => parts.push((HashBuckets { of, chosen: vec![*class] }, *rows)),
        }
    }
    parts.into_iter().map(|(classes, _)| classes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Fingerprint, Key};

    fn digest(hashes: &[i64]) -> RangeDigest {
        let mut digest = Digest::default();
        hashes.iter().for_each(|hash| digest.add(Fingerprint::of_row_hash(*hash)));
        RangeDigest { digest, distinct: digest.rows }
    }

    fn rows(rows: u64) -> RangeDigest {
        let sum = rows.to_string();
        let digest = Digest::read(rows.cast_signed(), Some(&sum)).unwrap();
        RangeDigest { digest, distinct: rows }
    }

    fn begin() -> Drill {
        let (drill, step) = Drill::begin(Expectation { rows: 1000, differences: 0 });
        assert_eq!(step, Step::Digest);
        drill
    }

    #[test]
    fn equal_digests_end_it() {
        let found = BySide { source: digest(&[1, 2]), target: digest(&[2, 1]) };
        let Step::Done(compared) = begin().digests(found) else { panic!() };
        assert_eq!((compared.matched, compared.rows.source), (2, 2));
    }

    #[test]
    fn rows_on_one_side_only_are_not_read() {
        let found = BySide { source: rows(50_000), target: rows(0) };
        let Step::Done(compared) = begin().digests(found) else { panic!() };
        assert_eq!(compared.lone, Some((Side::Source, rows(50_000).digest)));
        assert_eq!((compared.matched, compared.rows.target), (0, 0));
    }

    #[test]
    fn one_difference_among_many_rows_is_looked_for_in_classes_of_their_square_root() {
        let other = Digest::read(40_000, Some("1")).unwrap();
        let other = RangeDigest { digest: other, distinct: 40_000 };
        let found = BySide { source: rows(40_000), target: other };
        assert_eq!(begin().digests(found), Step::ByClass(128));
    }

    #[test]
    fn only_dirty_classes_are_read_and_clean_ones_count_as_matched() {
        let mut drill = begin();
        let source = BTreeMap::from([(0, digest(&[1])), (1, digest(&[2])), (3, digest(&[3]))]);
        let target = BTreeMap::from([(0, digest(&[1])), (1, digest(&[9])), (2, digest(&[4]))]);
        let step = drill.by_class(4, BySide { source, target });
        assert_eq!(step, Step::Rows(Some(HashBuckets { of: 4, chosen: vec![1, 2, 3] })));
        let suspect = Suspected { key: Key::new([&b"k"[..]]), image: BySide::default() };
        let Step::Done(compared) =
            drill.rows(BySide { source: 2, target: 2 }, BySide::default(), 0, vec![suspect])
        else {
            panic!()
        };
        assert_eq!((compared.matched, compared.rows.source, compared.suspects.len()), (1, 3, 1));
    }

    #[test]
    fn rows_are_never_in_hand_by_the_million() {
        let mut drill = begin();
        let found = BySide { source: rows(1_000_000), target: rows(400_000) };
        let mut step = drill.digests(found);
        let mut classes = 0;
        while let Step::Rows(Some(part)) = step {
            assert_eq!((part.of, part.chosen.len()), (16, 1));
            classes += 1;
            step = drill.rows(BySide { source: 1, target: 1 }, BySide::default(), 1, Vec::new());
        }
        assert_eq!(classes, 16);
    }

    #[test]
    fn duplicates_alike_on_both_sides_are_drilled_into() {
        let twice = RangeDigest { distinct: 1, ..digest(&[1, 1]) };
        assert_eq!(begin().digests(BySide { source: twice, target: twice }), Step::Rows(None));
        let classes = BTreeMap::from([(1, twice)]);
        let step = begin().by_class(2, BySide { source: classes.clone(), target: classes });
        assert_eq!(step, Step::Rows(Some(HashBuckets { of: 2, chosen: vec![1] })));
    }

    #[test]
    fn a_range_expected_to_differ_everywhere_is_read_at_once() {
        let (mut drill, step) = Drill::begin(Expectation { rows: 1000, differences: 900 });
        assert_eq!(step, Step::Rows(None));
        // and if it turns out to stand on one side only, no key of it is named
        let held = BySide { source: rows(0).digest, target: rows(1000).digest };
        let image = BySide { source: digest(&[]).digest, target: digest(&[1]).digest };
        let suspect = Suspected { key: Key::new([&b"k"[..]]), image };
        let Step::Done(compared) =
            drill.rows(BySide { source: 0, target: 1000 }, held, 0, vec![suspect])
        else {
            panic!()
        };
        assert_eq!(compared.lone, Some((Side::Target, held.target)));
        assert!(compared.suspects.is_empty());
    }
}
