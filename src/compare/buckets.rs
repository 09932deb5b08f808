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

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::drill::parts;
use super::{Compared, Pairing};
use crate::row::{Classes, Digest, Fingerprint, Key, KeyOrder};
use crate::schema::{BySide, Side};

/// Rows that are held at once, a side.
const ROWS_IN_HAND: u64 = 200_000;
/// Rows of a bucket: as few as the number of buckets allows, since a dirty one is read whole.
const ROWS_OF_A_BUCKET: u64 = 128;
/// More buckets than this spill a hashed aggregation at PostgreSQL's default work_mem.
const MOST_BUCKETS: u64 = 1 << 13;
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
        within: Option<Classes>,
    },
    /// Keys and row hashes of these classes.
    Rows(Classes),
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
    parts: Vec<Classes>,
    first: bool,
}

/// A comparison by buckets.
#[derive(Debug)]
pub struct Buckets {
    order: KeyOrder,
    key_width: usize,
    asked: Ask,
    digests: BySide<BTreeMap<u32, Digest>>,
    pairing: Option<Pairing>,
    /// Parts that wait for their pass.
    parts: Vec<Classes>,
    /// Whether something better can be done when nearly all buckets are dirty.
    has_ranges: bool,
    first: bool,
}

impl Buckets {
    /// Begins with about so many rows on the larger side; `leaf` sets the rows of a bucket.
    /// `has_ranges` tells whether key ranges could be compared instead.
    pub fn begin(
        order: KeyOrder,
        key_width: usize,
        rows: u64,
        leaf: Option<u64>,
        has_ranges: bool,
    ) -> Buckets {
        let of = (rows / leaf.unwrap_or(ROWS_OF_A_BUCKET).max(1)).max(1).next_power_of_two();
        let of = of.min(MOST_BUCKETS) as u32;
        Buckets {
            order,
            key_width,
            asked: Ask::Digests { of, within: None },
            digests: BySide::default(),
            pairing: None,
            parts: Vec::new(),
            has_ranges,
            first: true,
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let Buckets { asked, digests, parts, first, .. } = self;
        Progress {
            asked: asked.clone(),
            digests: digests.clone(),
            parts: parts.clone(),
            first: *first,
        }
    }

    /// Goes on from there.
    pub fn go_on(&mut self, progress: Progress) {
        let Progress { asked, digests, parts, first } = progress;
        *self = Buckets {
            order: self.order.clone(),
            asked,
            digests,
            parts,
            first,
            pairing: None,
            ..*self
        };
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

    /// The keys and row hashes of one piece of a side.
    pub fn rows(&mut self, side: Side, found: impl IntoIterator<Item = (Key, Fingerprint)>) {
        let (order, width) = (&self.order, self.key_width);
        let pairing =
            self.pairing.get_or_insert_with(|| Pairing::new(order.clone(), width, true, None));
        for (key, fingerprint) in found {
            pairing.add(side, key, fingerprint);
        }
    }

    /// Every piece of both sides was read.
    pub fn passed(&mut self) -> Passed {
        let compared = match self.asked.clone() {
            Ask::Rows(_) => match self.pairing.take() {
                Some(pairing) => {
                    let rows = pairing.rows();
                    let (matched, suspects, _) = pairing.finish();
                    Compared { rows, matched, suspects, ..Compared::default() }
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
                if let Some(ask) = finer(of, &dirty) {
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
        clean.rows = BySide { source: clean.matched, target: clean.matched };
        (clean, dirty)
    }
}

/// Another pass by finer classes, if the dirty ones hold more than a few handfuls and can be refined.
fn finer(of: u32, dirty: &[(u32, u64)]) -> Option<Ask> {
    let rows: u64 = dirty.iter().map(|(_, rows)| rows).sum();
    let room = (MOST_BUCKETS / dirty.len().max(1) as u64).max(1);
    let refinement = (1u64 << room.ilog2()).min(1 << 16) as u32;
    let of_now = of.checked_mul(refinement)?;
    (rows > 2 * ROWS_IN_HAND && refinement >= LEAST_REFINEMENT).then(|| {
        let chosen = dirty.iter().map(|(class, _)| *class).collect();
        Ask::Digests { of: of_now, within: Some(Classes { of, chosen }) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::KeyField;

    fn digest(hashes: &[i64]) -> Digest {
        let mut digest = Digest::default();
        hashes.iter().for_each(|hash| digest.add(Fingerprint::of_row_hash(*hash)));
        digest
    }

    fn begin(rows: u64, has_ranges: bool) -> Buckets {
        Buckets::begin(KeyOrder(vec![KeyField::Bytes]), 1, rows, None, has_ranges)
    }

    fn row(key: u8, hash: i64) -> (Key, Fingerprint) {
        (Key::new([&[key][..]]), Fingerprint::of_row_hash(hash))
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
        assert_eq!(ask, Ask::Rows(Classes { of: 8, chosen: vec![3, 2] }));
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
        assert_eq!(within, Some(Classes { of: 8192, chosen: vec![8000] }));
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
