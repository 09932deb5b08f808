//! The drill-down: from a range whose digests differ to the keys that differ.
//!
//! ```text
//!        few differences expected          some                        many
//!               │                            │                           │
//!        one digest a side ── differ ─▶ digests by bucket ── dirty ─▶ keys and row hashes,
//!               │                            │              buckets      paired in memory
//!             clean                   clean buckets matched
//! ```
//!
//! A hash bucket holds the keys whose hash has the same low bits, so the steps need no boundaries and
//! no order. With n rows and d differences, buckets of sqrt(n / d) rows make the digests and the rows
//! that have to be fetched about equally many. A scan that keeps finding differences starts with the
//! buckets: hashing a range twice would cost twice as much.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CandidateKey;
use crate::row::{Classes, Digest, GroupCounts};
use crate::schema::{BySide, Side};

/// Rows that are held in memory at once.
const ROWS_IN_MEMORY: u64 = 100_000;
/// Ranges with fewer rows than this are read at once: digests by bucket would not pay.
const ROWS_AT_ONCE: u64 = 2_000;
/// The most buckets of one step. More make a hashed aggregation slower than they save, well before it
/// would spill at PostgreSQL's default work_mem.
const MOST_BUCKETS: u64 = 1 << 12;

/// The digest of a range, with the number of distinct keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeDigest {
    /// Count and sum.
    pub digest: Digest,
    /// Distinct keys: as many as rows unless there are duplicates.
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

/// What the caller reads next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrillStep {
    /// One digest of the range, of both sides.
    Digest,
    /// A digest of each of so many hash buckets, of both sides.
    ByBucket(u32),
    /// Keys and row hashes of these hash buckets, or of the whole range, of both sides.
    Rows(Option<Classes>),
    /// Nothing: the range is compared.
    Done(Comparison),
}

/// The result of comparing a range once, before rechecks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rows read on each side.
    pub rows: BySide<u64>,
    /// Rows of each side whose counterpart agrees.
    pub matched: u64,
    /// Keys that differ, in no particular order.
    pub candidates: Vec<CandidateKey>,
    /// The only side that has rows, with their digest; then no candidates are listed.
    pub one_sided: Option<(Side, Digest)>,
    /// The groups of the rows that matched, where there are groups.
    pub groups: GroupCounts,
}

/// The drill-down of one range.
#[derive(Debug)]
pub struct DrillDown {
    parts: Vec<Option<Classes>>,
    so_far: Comparison,
    digest: BySide<Digest>,
    duplicates: bool,
}

impl DrillDown {
    /// Starts a drill-down by what is expected. Returns the first step.
    pub fn begin(expected: Expectation) -> (DrillDown, DrillStep) {
        let mut drill = DrillDown {
            parts: Vec::new(),
            so_far: Comparison::default(),
            digest: BySide::default(),
            duplicates: false,
        };
        let dense = expected.differences.saturating_mul(4) >= expected.rows;
        let step = match expected {
            Expectation { differences: 0, .. } => DrillStep::Digest,
            Expectation { rows, .. } if rows <= ROWS_AT_ONCE && !dense => DrillStep::Digest,
            Expectation { rows, differences } => drill.descend(rows, differences),
        };
        (drill, step)
    }

    /// Adds the digests of the whole range. Returns the next step.
    pub fn add_digests(&mut self, found: BySide<RangeDigest>) -> DrillStep {
        let rows = found.map(|side| side.digest.rows);
        if found.any(|side| side.has_duplicates()) {
            return self.rows_in_parts(rows.source.max(rows.target));
        }
        if found.source.digest == found.target.digest {
            self.so_far = Comparison { rows, matched: rows.source, ..Comparison::default() };
            return self.done();
        }
        self.digest = found.map(|side| side.digest);
        self.so_far.rows = rows;
        if self.is_one_sided() {
            return self.done();
        }
        self.so_far.rows = BySide::default();
        self.digest = BySide::default();
        self.descend(rows.source.max(rows.target), rows.source.abs_diff(rows.target).max(1))
    }

    /// Adds the digests of the hash buckets. Returns the next step.
    pub fn add_bucket_digests(
        &mut self,
        of: u32,
        found: BySide<BTreeMap<u32, RangeDigest>>,
    ) -> DrillStep {
        let mut dirty: Vec<(u32, u64)> = Vec::new();
        let mut total = BySide::<Digest>::default();
        let buckets = found.source.keys().chain(found.target.keys());
        let buckets: std::collections::BTreeSet<u32> = buckets.copied().collect();
        for bucket in buckets {
            let digests = BySide::new(|side| found[side].get(&bucket).copied().unwrap_or_default());
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
                dirty.push((bucket, rows));
            }
        }
        let total_rows = total.map(|digest| digest.rows);
        if (total_rows.source == 0) != (total_rows.target == 0) && !self.duplicates {
            self.so_far.rows = total_rows;
            self.digest = total;
            return self.done();
        }
        self.parts = parts(of, &dirty, ROWS_IN_MEMORY).into_iter().map(Some).collect();
        self.next_part()
    }

    /// Adds the rows of one part after they were paired: its counts, what matched, what differs.
    /// Returns the next step.
    pub fn add_rows(
        &mut self,
        rows: BySide<u64>,
        digest: BySide<Digest>,
        matched: u64,
        candidates: Vec<CandidateKey>,
    ) -> DrillStep {
        for side in Side::BOTH {
            self.so_far.rows[side] += rows[side];
            self.digest[side] += digest[side];
        }
        self.so_far.matched += matched;
        self.duplicates |=
            candidates.iter().any(|candidate| candidate.image.any(|digest| digest.rows > 1));
        self.so_far.candidates.extend(candidates);
        self.next_part()
    }

    /// Returns the next step for so many rows and differences.
    fn descend(&mut self, rows: u64, differences: u64) -> DrillStep {
        if rows <= ROWS_AT_ONCE || differences.saturating_mul(4) >= rows {
            return self.rows_in_parts(rows);
        }
        // The square root makes digests and fetched rows equally many; a row costs more than a digest
        // on the wire, but a bucket costs the aggregation more than a row, hence the half.
        let buckets = (rows.saturating_mul(differences) as f64).sqrt() as u64 / 2;
        let of = buckets.next_power_of_two().clamp(2, MOST_BUCKETS);
        DrillStep::ByBucket(of as u32)
    }

    fn rows_in_parts(&mut self, rows: u64) -> DrillStep {
        let of = rows.div_ceil(ROWS_IN_MEMORY).next_power_of_two().min(MOST_BUCKETS) as u32;
        self.parts = match of {
            1 => vec![None],
            of => (0..of).map(|bucket| Some(Classes { of, chosen: vec![bucket] })).collect(),
        };
        self.next_part()
    }

    fn next_part(&mut self) -> DrillStep {
        match self.parts.pop() {
            Some(buckets) => DrillStep::Rows(buckets),
            None => self.done(),
        }
    }

    fn is_one_sided(&self) -> bool {
        let rows = self.so_far.rows;
        !self.duplicates && (rows.source == 0) != (rows.target == 0)
    }

    fn done(&mut self) -> DrillStep {
        let mut compared = std::mem::take(&mut self.so_far);
        let one_sided =
            !self.duplicates && (compared.rows.source == 0) != (compared.rows.target == 0);
        if one_sided {
            let side = if compared.rows.source == 0 { Side::Target } else { Side::Source };
            compared.one_sided = Some((side, self.digest[side]));
            compared.candidates.clear();
        }
        DrillStep::Done(compared)
    }
}

/// Combines dirty hash buckets, with their rows, into parts of at most so many rows.
pub(super) fn parts(of: u32, dirty: &[(u32, u64)], most: u64) -> Vec<Classes> {
    let mut parts: Vec<(Classes, u64)> = Vec::new();
    for (bucket, rows) in dirty {
        match parts.last_mut() {
            Some((buckets, held)) if *held + rows <= most => {
                buckets.chosen.push(*bucket);
                *held += rows;
            }
            _ => parts.push((Classes { of, chosen: vec![*bucket] }, *rows)),
        }
    }
    parts.into_iter().map(|(buckets, _)| buckets).collect()
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

    fn begin() -> DrillDown {
        let (drill, step) = DrillDown::begin(Expectation { rows: 1000, differences: 0 });
        assert_eq!(step, DrillStep::Digest);
        drill
    }

    #[test]
    fn equal_digests_end_the_drill_down() {
        let found = BySide { source: digest(&[1, 2]), target: digest(&[2, 1]) };
        let DrillStep::Done(compared) = begin().add_digests(found) else { panic!() };
        assert_eq!((compared.matched, compared.rows.source), (2, 2));
    }

    #[test]
    fn rows_on_one_side_only_are_not_read() {
        let found = BySide { source: rows(50_000), target: rows(0) };
        let DrillStep::Done(compared) = begin().add_digests(found) else { panic!() };
        assert_eq!(compared.one_sided, Some((Side::Source, rows(50_000).digest)));
        assert_eq!((compared.matched, compared.rows.target), (0, 0));
    }

    #[test]
    fn one_difference_is_searched_in_buckets_of_square_root_size() {
        let other = Digest::read(40_000, Some("1")).unwrap();
        let other = RangeDigest { digest: other, distinct: 40_000 };
        let found = BySide { source: rows(40_000), target: other };
        assert_eq!(begin().add_digests(found), DrillStep::ByBucket(128));
    }

    #[test]
    fn only_dirty_buckets_are_read_and_clean_ones_are_matched() {
        let mut drill = begin();
        let source = BTreeMap::from([(0, digest(&[1])), (1, digest(&[2])), (3, digest(&[3]))]);
        let target = BTreeMap::from([(0, digest(&[1])), (1, digest(&[9])), (2, digest(&[4]))]);
        let step = drill.add_bucket_digests(4, BySide { source, target });
        assert_eq!(step, DrillStep::Rows(Some(Classes { of: 4, chosen: vec![1, 2, 3] })));
        let candidate = CandidateKey { key: Key::new([&b"k"[..]]), image: BySide::default() };
        let DrillStep::Done(compared) =
            drill.add_rows(BySide { source: 2, target: 2 }, BySide::default(), 0, vec![candidate])
        else {
            panic!()
        };
        assert_eq!((compared.matched, compared.rows.source, compared.candidates.len()), (1, 3, 1));
    }

    #[test]
    fn a_bounded_number_of_rows_is_held_at_once() {
        let mut drill = begin();
        let found = BySide { source: rows(1_000_000), target: rows(400_000) };
        let mut step = drill.add_digests(found);
        let mut buckets = 0;
        while let DrillStep::Rows(Some(part)) = step {
            assert_eq!((part.of, part.chosen.len()), (16, 1));
            buckets += 1;
            step =
                drill.add_rows(BySide { source: 1, target: 1 }, BySide::default(), 1, Vec::new());
        }
        assert_eq!(buckets, 16);
    }

    #[test]
    fn duplicates_alike_on_both_sides_are_drilled_into() {
        let twice = RangeDigest { distinct: 1, ..digest(&[1, 1]) };
        assert_eq!(
            begin().add_digests(BySide { source: twice, target: twice }),
            DrillStep::Rows(None)
        );
        let buckets = BTreeMap::from([(1, twice)]);
        let step =
            begin().add_bucket_digests(2, BySide { source: buckets.clone(), target: buckets });
        assert_eq!(step, DrillStep::Rows(Some(Classes { of: 2, chosen: vec![1] })));
    }

    #[test]
    fn a_range_expected_to_differ_everywhere_is_read_at_once() {
        let (mut drill, step) = DrillDown::begin(Expectation { rows: 1000, differences: 900 });
        assert_eq!(step, DrillStep::Rows(None));
        // If only one side turns out to have rows, no key of them is listed.
        let held = BySide { source: rows(0).digest, target: rows(1000).digest };
        let image = BySide { source: digest(&[]).digest, target: digest(&[1]).digest };
        let candidate = CandidateKey { key: Key::new([&b"k"[..]]), image };
        let DrillStep::Done(compared) =
            drill.add_rows(BySide { source: 0, target: 1000 }, held, 0, vec![candidate])
        else {
            panic!()
        };
        assert_eq!(compared.one_sided, Some((Side::Target, held.target)));
        assert!(compared.candidates.is_empty());
    }
}
