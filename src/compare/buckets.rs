//! The comparison by hash buckets: for tables whose keys are scattered on disk, or have no order that
//! both sides share.
//!
//! ```text
//!   scan of all blocks            scan                      scan
//!   digest of each bucket ──▶ dirty buckets in finer ──▶ rows of dirty buckets,
//!     │ clean: matched          ones, while there are       paired in memory, as many
//!     ▼                         too many rows to hold       as can be held at once
//! ```
//!
//! A hash bucket holds the keys whose hash has the same low bits, so buckets split evenly and need no
//! order. The counts and sums of all block ranges of a scan are added up here, whatever the ranges are.
//! An update that moves a row between blocks during the scan makes it seen twice or not at all: its
//! bucket is then dirty, and the recheck finds that nothing differs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::drill_down::parts;
use super::{RangeComparison, RowMatcher};
use crate::plan::MappingPlan;
use crate::row::{Digest, Fingerprint, GroupCounts, HashBuckets, Key, KeyOrder};
use crate::schema::{BySide, Side};

/// Rows of a side that are held in memory at once.
const ROWS_IN_MEMORY: u64 = 200_000;
/// Rows of a bucket: as few as the number of buckets allows, since a dirty bucket is read whole.
const ROWS_OF_A_BUCKET: u64 = 128;
/// More buckets than this spill a hashed aggregation at PostgreSQL's default work_mem.
const MOST_BUCKETS: u64 = 1 << 13;
/// The most parts: buckets times groups. They may spill: 295,000 rows of 8 columns take
/// PostgreSQL 15 600 ms in 8,192 buckets, and 650 ms in 63,000 parts of 64 buckets and 1,000 groups.
const MOST_PARTS: u64 = 1 << 16;
/// Groups that are expected where the statistics have no number.
const UNKNOWN_GROUPS: u64 = 1_000;
/// The least factor by which another scan refines the buckets.
const LEAST_REFINEMENT: u32 = 4;

/// What a scan reads from every block range of both tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockQuery {
    /// A digest of each of so many buckets, or of those within the chosen ones.
    Digests {
        /// How many buckets.
        of: u32,
        /// The wider buckets that are still dirty.
        within: Option<HashBuckets>,
    },
    /// Keys and row hashes of these buckets.
    Rows(HashBuckets),
}

/// The number of rows of one group in one bucket.
#[derive(Debug)]
pub struct BucketGroup {
    /// The bucket.
    pub bucket: u32,
    /// The group's text; `None` for NULL.
    pub group: Option<Box<[u8]>>,
    /// How many there are.
    pub rows: u64,
}

/// A row of a dirty bucket.
#[derive(Debug)]
pub struct BucketRow {
    /// Its key.
    pub key: Key,
    /// Its hash.
    pub fingerprint: Fingerprint,
    /// Its group's text, where there are groups; `None` for NULL.
    pub group: Option<Box<[u8]>>,
}

/// What follows a scan.
#[derive(Debug)]
pub enum ScanOutcome {
    /// Another scan, with what is compared for good.
    NextScan(BlockQuery, RangeComparison),
    /// Everything is compared.
    Done(RangeComparison),
    /// So much differs that buckets do not help; nothing is compared for good.
    Useless,
}

/// The progress of a comparison, to be stored between two block ranges. Rows in memory are left out: a
/// scan that reads rows starts again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketsProgress {
    query: BlockQuery,
    digests: BySide<BTreeMap<u32, Digest>>,
    /// Bucket, index of the group, rows.
    counts: Vec<(u32, u32, u64)>,
    groups: Vec<Option<Vec<u8>>>,
    parts: Vec<HashBuckets>,
    first: bool,
}

/// A comparison by hash buckets.
#[derive(Debug)]
pub struct Buckets {
    order: KeyOrder,
    key_width: usize,
    /// About how many groups there are, where rows are grouped.
    groups: Option<u64>,
    query: BlockQuery,
    digests: BySide<BTreeMap<u32, Digest>>,
    /// The source's rows by bucket and group; equal digests have equal groups.
    counts: BTreeMap<(u32, u32), u64>,
    /// All groups that were seen, with their indexes.
    seen: GroupCounts,
    matcher: Option<RowMatcher>,
    /// Parts that are read by later scans.
    parts: Vec<HashBuckets>,
    /// Whether key ranges can be compared instead when nearly all buckets are dirty.
    has_ranges: bool,
    first: bool,
}

impl Buckets {
    /// Starts a plan's comparison. `has_ranges` says whether key ranges could be compared instead.
    pub fn begin(plan: &MappingPlan, has_ranges: bool) -> Buckets {
        let rows = plan.estimated_rows().unwrap_or(0);
        let groups = plan.group.map(|_| plan.groups.unwrap_or(UNKNOWN_GROUPS).max(1));
        let of = (rows / plan.chunk_rows.unwrap_or(ROWS_OF_A_BUCKET).max(1)).max(1);
        let of = of.next_power_of_two().min(most_buckets(groups)) as u32;
        Buckets {
            order: plan.order.clone(),
            key_width: plan.key_width,
            groups,
            query: BlockQuery::Digests { of, within: None },
            digests: BySide::default(),
            counts: BTreeMap::new(),
            seen: GroupCounts::default(),
            matcher: None,
            parts: Vec::new(),
            has_ranges,
            first: true,
        }
    }

    /// Returns the progress, to be stored.
    pub fn progress(&self) -> BucketsProgress {
        let Buckets { query, digests, counts, parts, first, .. } = self;
        BucketsProgress {
            query: query.clone(),
            digests: digests.clone(),
            counts: counts.iter().map(|((bucket, place), rows)| (*bucket, *place, *rows)).collect(),
            groups: self.seen.by_place(),
            parts: parts.clone(),
            first: *first,
        }
    }

    /// Continues from stored progress.
    pub fn resume(&mut self, progress: BucketsProgress) {
        let BucketsProgress { query, digests, counts, groups, parts, first } = progress;
        (self.query, self.digests) = (query, digests);
        self.counts =
            counts.into_iter().map(|(bucket, place, rows)| ((bucket, place), rows)).collect();
        self.seen = GroupCounts::default();
        // Added in the same order, the groups get the same indexes again.
        for group in &groups {
            self.seen.place(group.as_deref());
        }
        (self.parts, self.first, self.matcher) = (parts, first, None);
    }

    /// Returns what the current scan reads.
    pub fn query(&self) -> &BlockQuery {
        &self.query
    }

    /// Adds the digests of one block range of a side.
    pub fn add_digests(&mut self, side: Side, found: impl IntoIterator<Item = (u32, Digest)>) {
        for (bucket, digest) in found {
            *self.digests[side].entry(bucket).or_default() += digest;
        }
    }

    /// Adds the groups of the source's rows in one block range, bucket by bucket.
    pub fn add_counts(&mut self, found: impl IntoIterator<Item = BucketGroup>) {
        for BucketGroup { bucket, group, rows } in found {
            let place = self.seen.place(group.as_deref());
            *self.counts.entry((bucket, place)).or_default() += rows;
        }
    }

    /// Adds the keys, row hashes and groups of one block range of a side.
    pub fn add_rows(&mut self, side: Side, found: impl IntoIterator<Item = BucketRow>) {
        let (order, width) = (&self.order, self.key_width);
        let group = self.groups.map(|_| width + 1);
        let matcher =
            self.matcher.get_or_insert_with(|| RowMatcher::new(order.clone(), width, true, group));
        for BucketRow { key, fingerprint, group } in found {
            matcher.add_grouped(side, key, fingerprint, group.as_deref());
        }
    }

    /// Ends a scan: every block range of both sides was read. Returns what follows.
    pub fn finish_scan(&mut self) -> ScanOutcome {
        let compared = match self.query.clone() {
            BlockQuery::Rows(_) => match self.matcher.take() {
                Some(matcher) => {
                    let rows = matcher.rows();
                    let (matched, candidates, groups) = matcher.finish();
                    RangeComparison { rows, matched, candidates, one_sided: None, groups }
                }
                None => RangeComparison::default(),
            },
            BlockQuery::Digests { of, .. } => {
                let (clean, dirty) = self.judge();
                let few = u64::from(of) < 64 || dirty.len() as u64 * 2 < u64::from(of);
                if self.first && self.has_ranges && !few {
                    return ScanOutcome::Useless;
                }
                self.first = false;
                if let Some(query) = finer(of, &dirty, self.groups) {
                    self.query = query.clone();
                    return ScanOutcome::NextScan(query, clean);
                }
                self.parts = parts(of, &dirty, ROWS_IN_MEMORY);
                clean
            }
        };
        match self.parts.pop() {
            Some(part) => {
                self.query = BlockQuery::Rows(part);
                ScanOutcome::NextScan(self.query.clone(), compared)
            }
            None => ScanOutcome::Done(compared),
        }
    }

    /// Compares the digests. Returns what is clean, and the dirty buckets with the rows of their larger
    /// side.
    fn judge(&mut self) -> (RangeComparison, Vec<(u32, u64)>) {
        let BySide { source, mut target } = std::mem::take(&mut self.digests);
        let mut counts = std::mem::take(&mut self.counts);
        let mut clean = RangeComparison::default();
        let mut dirty = Vec::new();
        for (bucket, digest) in source {
            let other = target.remove(&bucket).unwrap_or_default();
            if digest == other {
                clean.matched += digest.rows;
            } else {
                dirty.push((bucket, digest.rows.max(other.rows)));
            }
        }
        dirty.extend(target.into_iter().map(|(bucket, digest)| (bucket, digest.rows)));
        let is_dirty: BTreeSet<u32> = dirty.iter().map(|(bucket, _)| *bucket).collect();
        counts.retain(|(bucket, _), _| !is_dirty.contains(bucket));
        clean.groups =
            self.seen.counted(counts.into_iter().map(|((_, place), rows)| (place, rows)));
        clean.rows = BySide { source: clean.matched, target: clean.matched };
        (clean, dirty)
    }
}

/// Returns how many buckets a statement can return with so many groups.
fn most_buckets(groups: Option<u64>) -> u64 {
    match groups {
        None => MOST_BUCKETS,
        Some(groups) => 1 << (MOST_PARTS / groups).clamp(1, MOST_BUCKETS).ilog2(),
    }
}

/// Returns another scan by finer buckets, if the dirty ones have many rows and can be refined.
fn finer(of: u32, dirty: &[(u32, u64)], groups: Option<u64>) -> Option<BlockQuery> {
    let rows: u64 = dirty.iter().map(|(_, rows)| rows).sum();
    let factor = (most_buckets(groups) / dirty.len().max(1) as u64).max(1);
    let refinement = (1u64 << factor.ilog2()).min(1 << 16) as u32;
    let of_now = of.checked_mul(refinement)?;
    (rows > 2 * ROWS_IN_MEMORY && refinement >= LEAST_REFINEMENT).then(|| {
        let chosen = dirty.iter().map(|(bucket, _)| *bucket).collect();
        BlockQuery::Digests { of: of_now, within: Some(HashBuckets { of, chosen }) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::schema::Builtin;

    fn digest(hashes: &[i64]) -> Digest {
        let mut digest = Digest::default();
        hashes.iter().for_each(|hash| digest.add(Fingerprint::of_row_hash(*hash)));
        digest
    }

    fn begin(rows: u64, has_ranges: bool) -> Buckets {
        begin_with(rows, has_ranges, None)
    }

    fn begin_with(rows: u64, has_ranges: bool, groups: Option<u64>) -> Buckets {
        let mut plan = sample::same(&[("id", Builtin::Bytea, true)], &["id"]);
        plan.sides.source.estimated_rows = Some(rows);
        plan.sides.target.estimated_rows = Some(rows);
        plan.group = groups.map(|_| 0);
        plan.groups = groups;
        Buckets::begin(&plan, has_ranges)
    }

    fn row(key: u8, hash: i64) -> BucketRow {
        row_of(key, hash, None)
    }

    fn row_of(key: u8, hash: i64, group: Option<&[u8]>) -> BucketRow {
        let fingerprint = Fingerprint::of_row_hash(hash);
        BucketRow { key: Key::new([&[key][..]]), fingerprint, group: group.map(Into::into) }
    }

    #[test]
    fn groups_of_clean_buckets_and_of_equal_rows_are_counted() {
        let mut buckets = begin_with(1000, false, Some(10));
        buckets.add_digests(Side::Source, [(1, digest(&[5, 6])), (2, digest(&[7]))]);
        let count = |bucket, group: &str| BucketGroup {
            bucket,
            group: Some(group.as_bytes().into()),
            rows: 1,
        };
        buckets.add_counts([count(1, "a"), count(2, "a")]);
        buckets.add_counts([count(1, "b")]);
        buckets.add_digests(Side::Target, [(1, digest(&[6, 5])), (2, digest(&[8, 9]))]);
        let ScanOutcome::NextScan(BlockQuery::Rows(_), clean) = buckets.finish_scan() else {
            panic!()
        };
        let mut found: Vec<_> = clean.groups.iter().collect();
        found.sort();
        assert_eq!(found, [(Some(&b"a"[..]), 1), (Some(&b"b"[..]), 1)]);
        buckets.add_rows(Side::Source, [row_of(1, 7, Some(b"a")), row_of(2, 4, Some(b"c"))]);
        buckets.add_rows(Side::Target, [row_of(2, 4, Some(b"c")), row_of(1, 8, Some(b"a"))]);
        let ScanOutcome::Done(compared) = buckets.finish_scan() else { panic!() };
        let found: Vec<_> = compared.groups.iter().collect();
        assert_eq!((found, compared.candidates.len()), (vec![(Some(&b"c"[..]), 1)], 1));
    }

    #[test]
    fn groups_are_the_same_after_a_scan_is_resumed() {
        let mut before = begin_with(1000, false, Some(10));
        let count = |bucket, group: Option<&str>| BucketGroup {
            bucket,
            group: group.map(|text| text.as_bytes().into()),
            rows: 1,
        };
        for side in Side::BOTH {
            before.add_digests(side, [(1, digest(&[5, 6])), (2, digest(&[7]))]);
        }
        before.add_counts([count(1, Some("b")), count(1, None), count(2, Some("a"))]);
        let written = serde_json::to_string(&before.progress()).unwrap();
        let mut after = begin_with(1000, false, Some(10));
        after.resume(serde_json::from_str(&written).unwrap());
        let found = |buckets: &mut Buckets| {
            let ScanOutcome::Done(compared) = buckets.finish_scan() else { panic!() };
            let groups = compared.groups.iter();
            let mut groups: Vec<_> = groups.map(|(g, n)| (g.map(<[u8]>::to_vec), n)).collect();
            groups.sort();
            groups
        };
        assert_eq!(found(&mut after), found(&mut before));
    }

    #[test]
    fn the_more_groups_the_fewer_buckets() {
        let of = |groups| match begin_with(1 << 30, false, groups).query() {
            BlockQuery::Digests { of, .. } => *of,
            BlockQuery::Rows(_) => panic!(),
        };
        assert_eq!([None, Some(1), Some(0), Some(100)].map(of), [8192, 8192, 8192, 512]);
        assert_eq!([Some(1_000), Some(60_000), Some(1 << 20)].map(of), [64, 1, 1]);
    }

    #[test]
    fn digests_of_block_ranges_add_up() {
        let mut buckets = begin(1000, false);
        assert_eq!(buckets.query(), &BlockQuery::Digests { of: 8, within: None });
        buckets.add_digests(Side::Source, [(1, digest(&[5])), (2, digest(&[7]))]);
        buckets.add_digests(Side::Source, [(1, digest(&[6]))]);
        buckets.add_digests(Side::Target, [(2, digest(&[7])), (1, digest(&[6, 5]))]);
        let ScanOutcome::Done(compared) = buckets.finish_scan() else { panic!() };
        assert_eq!((compared.matched, compared.rows.target), (3, 3));
    }

    #[test]
    fn only_rows_of_dirty_buckets_are_read() {
        let mut buckets = begin(1000, false);
        buckets.add_digests(Side::Source, [(1, digest(&[5])), (3, digest(&[8]))]);
        buckets.add_digests(Side::Target, [(1, digest(&[5])), (2, digest(&[9]))]);
        let ScanOutcome::NextScan(query, clean) = buckets.finish_scan() else { panic!() };
        assert_eq!(query, BlockQuery::Rows(HashBuckets { of: 8, chosen: vec![3, 2] }));
        assert_eq!(clean.matched, 1);
        buckets.add_rows(Side::Source, [row(1, 8), row(4, 4)]);
        buckets.add_rows(Side::Target, [row(4, 4), row(2, 9)]);
        let ScanOutcome::Done(compared) = buckets.finish_scan() else { panic!() };
        assert_eq!((compared.matched, compared.candidates.len()), (1, 2));
    }

    #[test]
    fn large_dirty_buckets_are_refined_before_they_are_read() {
        let mut buckets = begin(1 << 30, true);
        let rows = |sum: &str| Digest::read(500_000, Some(sum)).unwrap();
        let clean = (0..8000).map(|bucket| (bucket, digest(&[1])));
        buckets.add_digests(Side::Source, clean.clone().chain([(8000, rows("1"))]));
        buckets.add_digests(Side::Target, clean.chain([(8000, rows("2"))]));
        let ScanOutcome::NextScan(BlockQuery::Digests { of, within }, compared) =
            buckets.finish_scan()
        else {
            panic!()
        };
        assert_eq!(within, Some(HashBuckets { of: 8192, chosen: vec![8000] }));
        assert_eq!((of, compared.matched), (8192 * 8192, 8000));
    }

    #[test]
    fn where_nearly_everything_differs_key_ranges_are_used_if_possible() {
        for (has_ranges, useless) in [(true, true), (false, false)] {
            let mut buckets = begin(1 << 14, has_ranges);
            buckets.add_digests(Side::Source, (0..128).map(|bucket| (bucket, digest(&[1]))));
            assert_eq!(matches!(buckets.finish_scan(), ScanOutcome::Useless), useless);
        }
    }
}
