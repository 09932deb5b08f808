//! Buckets: comparing tables whose keys lie scattered on disk, or in no order that both sides share.
//!
//! ```text
//!   pass over all blocks          pass                      pass
//!   digest of each bucket ──▶ dirty buckets in finer ──▶ rows of dirty buckets,
//!     │ clean: matched          ones, while there are       paired in memory, as many
//!     ▼                         too many rows to hold       as can be held at once
//! ```
//!
//! A bucket is a class of keys, the low bits of the key's hash, so that it halves evenly and needs no
//! order. Counts and sums of the pieces of a pass add up here, whatever the pieces are. A row that an
//! update moves to a block on the other side of the pass is seen twice or not at all: its bucket is
//! dirty, and the recheck finds that nothing is wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::drill::parts;
use super::{Compared, Pairing};
use crate::plan::MappingPlan;
use crate::row::{Digest, Fingerprint, GroupCounts, HashBuckets, Key, KeyOrder};
use crate::schema::{BySide, Side};

/// Rows that are held at once, a side.
const ROWS_IN_HAND: u64 = 200_000;
/// Rows of a bucket: as few as the number of buckets allows, since a dirty one is read whole.
const ROWS_OF_A_BUCKET: u64 = 128;
/// More buckets than this spill a hashed aggregation at PostgreSQL's default work_mem.
const MOST_BUCKETS: u64 = 1 << 13;
/// Parts that buckets and groups make together. They may spill: 295,000 rows of 8 columns take
/// PostgreSQL 15 600 ms in 8,192 buckets, and 650 ms in 63,000 parts of 64 buckets and 1,000 groups.
const MOST_PARTS: u64 = 1 << 16;
/// Groups that are expected where no statistics know of any.
const UNKNOWN_GROUPS: u64 = 1_000;
/// A refinement that does not at least do this is not worth a pass.
const LEAST_REFINEMENT: u32 = 4;

/// What a pass asks of every piece of both tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A digest of each of so many classes, or of those within the chosen ones.
    Digests {
        /// How many classes.
        of: u32,
        /// The wider classes that are still of interest.
        within: Option<HashBuckets>,
    },
    /// Keys and row hashes of these classes.
    Rows(HashBuckets),
}

/// Rows of one group in one bucket.
#[derive(Debug)]
pub struct BucketGroup {
    /// The bucket.
    pub class: u32,
    /// The group's text; nothing for NULL.
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
    /// Its group's text, where there are groups; nothing for NULL.
    pub group: Option<Box<[u8]>>,
}

/// What comes after a pass.
#[derive(Debug)]
pub enum Passed {
    /// Another pass. What has been compared for good comes along.
    Again(Ask, Compared),
    /// Everything is compared.
    Done(Compared),
    /// So much differs that buckets are of no use; nothing was compared for good.
    Useless,
}

/// How far a comparison has come, to be written down between two pieces. Rows in hand are left out:
/// a pass that reads rows begins again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    asked: Ask,
    digests: BySide<BTreeMap<u32, Digest>>,
    /// Bucket, place among the groups, rows.
    counts: Vec<(u32, u32, u64)>,
    groups: Vec<Option<Vec<u8>>>,
    parts: Vec<HashBuckets>,
    first: bool,
}

/// A comparison by buckets.
#[derive(Debug)]
pub struct Buckets {
    order: KeyOrder,
    key_width: usize,
    /// Where rows are grouped, about how many groups there are.
    groups: Option<u64>,
    asked: Ask,
    digests: BySide<BTreeMap<u32, Digest>>,
    /// The groups of the source's rows, by bucket and place; equal digests have equal groups.
    counts: BTreeMap<(u32, u32), u64>,
    /// The places of all groups that were seen.
    seen: GroupCounts,
    pairing: Option<Pairing>,
    /// Parts that wait for their pass.
    parts: Vec<HashBuckets>,
    /// Whether something better can be done when nearly all buckets are dirty.
    has_ranges: bool,
    first: bool,
}

impl Buckets {
    /// Begins a plan's comparison. `has_ranges` tells whether key ranges could be compared instead.
    pub fn begin(plan: &MappingPlan, has_ranges: bool) -> Buckets {
        let rows = plan.estimated_rows().unwrap_or(0);
        let groups = plan.group.map(|_| plan.groups.unwrap_or(UNKNOWN_GROUPS).max(1));
        let of = (rows / plan.chunk_rows.unwrap_or(ROWS_OF_A_BUCKET).max(1)).max(1);
        let of = of.next_power_of_two().min(most_buckets(groups)) as u32;
        Buckets {
            order: plan.order.clone(),
            key_width: plan.key_width,
            groups,
            asked: Ask::Digests { of, within: None },
            digests: BySide::default(),
            counts: BTreeMap::new(),
            seen: GroupCounts::default(),
            pairing: None,
            parts: Vec::new(),
            has_ranges,
            first: true,
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let Buckets { asked, digests, counts, parts, first, .. } = self;
        Progress {
            asked: asked.clone(),
            digests: digests.clone(),
            counts: counts.iter().map(|((class, place), rows)| (*class, *place, *rows)).collect(),
            groups: self.seen.by_place(),
            parts: parts.clone(),
            first: *first,
        }
    }

    /// Goes on from there.
    pub fn go_on(&mut self, progress: Progress) {
        let Progress { asked, digests, counts, groups, parts, first } = progress;
        (self.asked, self.digests) = (asked, digests);
        self.counts =
            counts.into_iter().map(|(class, place, rows)| ((class, place), rows)).collect();
        self.seen = GroupCounts::default();
        // In their order they come to the same places again.
        for group in &groups {
            self.seen.place(group.as_deref());
        }
        (self.parts, self.first, self.pairing) = (parts, first, None);
    }

    /// What the pass under way asks.
    pub fn asked(&self) -> &Ask {
        &self.asked
    }

    /// The digests of one piece of a side.
    pub fn digests(&mut self, side: Side, found: impl IntoIterator<Item = (u32, Digest)>) {
        for (class, digest) in found {
            *self.digests[side].entry(class).or_default() += digest;
        }
    }

    /// The groups of the source's rows in one piece, bucket by bucket.
    pub fn counts(&mut self, found: impl IntoIterator<Item = BucketGroup>) {
        for BucketGroup { class, group, rows } in found {
            let place = self.seen.place(group.as_deref());
            *self.counts.entry((class, place)).or_default() += rows;
        }
    }

    /// The keys, row hashes and groups of one piece of a side.
    pub fn rows(&mut self, side: Side, found: impl IntoIterator<Item = BucketRow>) {
        let (order, width) = (&self.order, self.key_width);
        let group = self.groups.map(|_| width + 1);
        let pairing =
            self.pairing.get_or_insert_with(|| Pairing::new(order.clone(), width, true, group));
        for BucketRow { key, fingerprint, group } in found {
            pairing.add_grouped(side, key, fingerprint, group.as_deref());
        }
    }

    /// Every piece of both sides was read.
    pub fn passed(&mut self) -> Passed {
        let compared = match self.asked.clone() {
            Ask::Rows(_) => match self.pairing.take() {
                Some(pairing) => {
                    let rows = pairing.rows();
                    let (matched, suspects, groups) = pairing.finish();
                    Compared { rows, matched, suspects, lone: None, groups }
                }
                None => Compared::default(),
            },
            Ask::Digests { of, .. } => {
                let (clean, dirty) = self.judge();
                let few = u64::from(of) < 64 || dirty.len() as u64 * 2 < u64::from(of);
                if self.first && self.has_ranges && !few {
                    return Passed::Useless;
                }
                self.first = false;
                if let Some(ask) = finer(of, &dirty, self.groups) {
                    self.asked = ask.clone();
                    return Passed::Again(ask, clean);
                }
                self.parts = parts(of, &dirty, ROWS_IN_HAND);
                clean
            }
        };
        match self.parts.pop() {
            Some(part) => {
                self.asked = Ask::Rows(part);
                Passed::Again(self.asked.clone(), compared)
            }
            None => Passed::Done(compared),
        }
    }

    /// What is clean, and the dirty classes with the rows of their larger side.
    fn judge(&mut self) -> (Compared, Vec<(u32, u64)>) {
        let BySide { source, mut target } = std::mem::take(&mut self.digests);
        let mut counts = std::mem::take(&mut self.counts);
        let mut clean = Compared::default();
        let mut dirty = Vec::new();
        for (class, digest) in source {
            let other = target.remove(&class).unwrap_or_default();
            if digest == other {
                clean.matched += digest.rows;
            } else {
                dirty.push((class, digest.rows.max(other.rows)));
            }
        }
        dirty.extend(target.into_iter().map(|(class, digest)| (class, digest.rows)));
        let is_dirty: BTreeSet<u32> = dirty.iter().map(|(class, _)| *class).collect();
        counts.retain(|(class, _), _| !is_dirty.contains(class));
        clean.groups =
            self.seen.counted(counts.into_iter().map(|((_, place), rows)| (place, rows)));
        clean.rows = BySide { source: clean.matched, target: clean.matched };
        (clean, dirty)
    }
}

/// As many buckets as a statement can return with so many groups.
fn most_buckets(groups: Option<u64>) -> u64 {
    match groups {
        None => MOST_BUCKETS,
        Some(groups) => 1 << (MOST_PARTS / groups).clamp(1, MOST_BUCKETS).ilog2(),
    }
}

/// Another pass by finer classes, if the dirty ones hold more than a few handfuls and can be refined.
fn finer(of: u32, dirty: &[(u32, u64)], groups: Option<u64>) -> Option<Ask> {
    let rows: u64 = dirty.iter().map(|(_, rows)| rows).sum();
    let room = (most_buckets(groups) / dirty.len().max(1) as u64).max(1);
    let refinement = (1u64 << room.ilog2()).min(1 << 16) as u32;
    let of_now = of.checked_mul(refinement)?;
    (rows > 2 * ROWS_IN_HAND && refinement >= LEAST_REFINEMENT).then(|| {
        let chosen = dirty.iter().map(|(class, _)| *class).collect();
        Ask::Digests { of: of_now, within: Some(HashBuckets { of, chosen }) }
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
    fn groups_of_clean_buckets_and_of_rows_that_agree_are_counted() {
        let mut buckets = begin_with(1000, false, Some(10));
        buckets.digests(Side::Source, [(1, digest(&[5, 6])), (2, digest(&[7]))]);
        let count = |class, group: &str| BucketGroup {
            class,
            group: Some(group.as_bytes().into()),
            rows: 1,
        };
        buckets.counts([count(1, "a"), count(2, "a")]);
        buckets.counts([count(1, "b")]);
        buckets.digests(Side::Target, [(1, digest(&[6, 5])), (2, digest(&[8, 9]))]);
        let Passed::Again(Ask::Rows(_), clean) = buckets.passed() else { panic!() };
        let mut found: Vec<_> = clean.groups.iter().collect();
        found.sort();
        assert_eq!(found, [(Some(&b"a"[..]), 1), (Some(&b"b"[..]), 1)]);
        buckets.rows(Side::Source, [row_of(1, 7, Some(b"a")), row_of(2, 4, Some(b"c"))]);
        buckets.rows(Side::Target, [row_of(2, 4, Some(b"c")), row_of(1, 8, Some(b"a"))]);
        let Passed::Done(compared) = buckets.passed() else { panic!() };
        let found: Vec<_> = compared.groups.iter().collect();
        assert_eq!((found, compared.suspects.len()), (vec![(Some(&b"c"[..]), 1)], 1));
    }

    #[test]
    fn groups_are_the_same_when_a_pass_goes_on_later() {
        let mut before = begin_with(1000, false, Some(10));
        let count = |class, group: Option<&str>| BucketGroup {
            class,
            group: group.map(|text| text.as_bytes().into()),
            rows: 1,
        };
        for side in Side::BOTH {
            before.digests(side, [(1, digest(&[5, 6])), (2, digest(&[7]))]);
        }
        before.counts([count(1, Some("b")), count(1, None), count(2, Some("a"))]);
        let written = serde_json::to_string(&before.progress()).unwrap();
        let mut after = begin_with(1000, false, Some(10));
        after.go_on(serde_json::from_str(&written).unwrap());
        let found = |buckets: &mut Buckets| {
            let Passed::Done(compared) = buckets.passed() else { panic!() };
            let groups = compared.groups.iter();
            let mut groups: Vec<_> = groups.map(|(g, n)| (g.map(<[u8]>::to_vec), n)).collect();
            groups.sort();
            groups
        };
        assert_eq!(found(&mut after), found(&mut before));
    }

    #[test]
    fn the_more_groups_the_fewer_buckets() {
        let of = |groups| match begin_with(1 << 30, false, groups).asked() {
            Ask::Digests { of, .. } => *of,
            Ask::Rows(_) => panic!(),
        };
        assert_eq!([None, Some(1), Some(0), Some(100)].map(of), [8192, 8192, 8192, 512]);
        assert_eq!([Some(1_000), Some(60_000), Some(1 << 20)].map(of), [64, 1, 1]);
    }

    #[test]
    fn pieces_add_up_whatever_they_are() {
        let mut buckets = begin(1000, false);
        assert_eq!(buckets.asked(), &Ask::Digests { of: 8, within: None });
        buckets.digests(Side::Source, [(1, digest(&[5])), (2, digest(&[7]))]);
        buckets.digests(Side::Source, [(1, digest(&[6]))]);
        buckets.digests(Side::Target, [(2, digest(&[7])), (1, digest(&[6, 5]))]);
        let Passed::Done(compared) = buckets.passed() else { panic!() };
        assert_eq!((compared.matched, compared.rows.target), (3, 3));
    }

    #[test]
    fn only_rows_of_dirty_buckets_are_read() {
        let mut buckets = begin(1000, false);
        buckets.digests(Side::Source, [(1, digest(&[5])), (3, digest(&[8]))]);
        buckets.digests(Side::Target, [(1, digest(&[5])), (2, digest(&[9]))]);
        let Passed::Again(ask, clean) = buckets.passed() else { panic!() };
        assert_eq!(ask, Ask::Rows(HashBuckets { of: 8, chosen: vec![3, 2] }));
        assert_eq!(clean.matched, 1);
        buckets.rows(Side::Source, [row(1, 8), row(4, 4)]);
        buckets.rows(Side::Target, [row(4, 4), row(2, 9)]);
        let Passed::Done(compared) = buckets.passed() else { panic!() };
        assert_eq!((compared.matched, compared.suspects.len()), (1, 2));
    }

    #[test]
    fn many_rows_in_few_dirty_buckets_are_halved_before_they_are_read() {
        let mut buckets = begin(1 << 30, true);
        let rows = |sum: &str| Digest::read(500_000, Some(sum)).unwrap();
        let clean = (0..8000).map(|class| (class, digest(&[1])));
        buckets.digests(Side::Source, clean.clone().chain([(8000, rows("1"))]));
        buckets.digests(Side::Target, clean.chain([(8000, rows("2"))]));
        let Passed::Again(Ask::Digests { of, within }, compared) = buckets.passed() else {
            panic!()
        };
        assert_eq!(within, Some(HashBuckets { of: 8192, chosen: vec![8000] }));
        assert_eq!((of, compared.matched), (8192 * 8192, 8000));
    }

    #[test]
    fn where_nearly_everything_differs_ranges_take_over_if_there_are_any() {
        for (has_ranges, useless) in [(true, true), (false, false)] {
            let mut buckets = begin(1 << 14, has_ranges);
            buckets.digests(Side::Source, (0..128).map(|class| (class, digest(&[1]))));
            assert_eq!(matches!(buckets.passed(), Passed::Useless), useless);
        }
    }
}
