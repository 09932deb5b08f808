//! Checkpoints: what is stored of a mapping during a run, so that a run that was interrupted can be
//! resumed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::one_sided::Ruled;
use crate::chunks::{Checked, Kept, PassProgress};
use crate::compare::Parts;
use crate::finding::Ruling;
use crate::row::{Key, KeyRange};
use crate::schema::Side;

/// A confirmed one-sided range as it is stored; [`Ruled`] is what is read back.
#[derive(Debug, Serialize)]
pub(crate) struct RulingRecord<'r> {
    pub(crate) side: Side,
    pub(crate) through: Option<Key>,
    pub(crate) ruling: &'r Ruling,
    pub(crate) parts: &'r Parts,
}

/// Stores the checkpoints of a run.
pub(crate) trait Checkpoints {
    /// Returns whether checkpoints are stored at all.
    fn are_stored(&self) -> bool;

    /// Returns whether the last checkpoint was stored long enough ago for a large one.
    fn are_due(&self) -> bool;

    /// Stores the outcome of a chunk: its number, keys and estimated rows.
    fn store_chunk(&mut self, mapping: &str, chunk: (u64, &KeyRange, u64), outcome: Checked<'_>);

    /// Stores how far a table scan by blocks has come.
    fn store_pass(&mut self, mapping: &str, state: &PassState);

    /// Stores that the one-sided range that begins after a key is confirmed.
    fn store_ruling(&mut self, mapping: &str, after: &Option<Key>, ruling: &RulingRecord<'_>);

    /// Forgets the chunk that is stored in a place.
    fn forget_chunk(&mut self, mapping: &str, place: i64);

    /// Forgets all checkpoints of a mapping.
    fn forget_mapping(&mut self, mapping: &str);
}

/// Numbers of what a comparison by buckets has compared begin here, beyond all chunks.
pub(crate) const FIRST_OF_PASS: u64 = 1 << 40;

/// Where a comparison by buckets stands.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PassState {
    /// How often it has compared something for good.
    pub(crate) booked: u64,
    pub(crate) stand: Stand,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Stand {
    /// It goes on from here.
    Open(Box<PassProgress>),
    /// Everything is compared.
    Finished,
    /// Key ranges are compared instead.
    Useless,
}

/// What the ledger has of a mapping of an interrupted run.
#[derive(Default)]
pub(crate) struct Stored {
    /// Chunks of key ranges.
    pub(crate) chunks: Vec<Kept>,
    /// What a comparison by buckets has compared for good, by number.
    pub(crate) of_pass: Vec<Kept>,
    /// How much that was.
    pub(crate) booked: u64,
    pub(crate) state: Option<Stand>,
    pub(crate) ruled: HashMap<Option<Key>, Ruled>,
    /// Stored results that are damaged.
    pub(crate) damaged: u64,
    /// The places of the chunks among them.
    pub(crate) places: Vec<i64>,
    /// The shards among them.
    pub(crate) shards: u64,
}

impl Stored {
    /// Returns whether what is sound counts without what is damaged. Key ranges do, for what they leave
    /// uncovered is read again. A comparison by buckets counts as a whole, and so does a sample, which
    /// takes and skips chunks in turn.
    pub(crate) fn adds_up(&self, sample: bool) -> bool {
        let numbered = |(at, kept): (usize, &Kept)| kept.chunk == FIRST_OF_PASS + at as u64;
        let all = self.of_pass.len() as u64 == self.booked;
        let whole = all && self.of_pass.iter().enumerate().all(numbered);
        whole && (self.shards == 0 || self.of_pass.is_empty()) && (self.damaged == 0 || !sample)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunks::{ChunkSettings, KeptState, Pass};
    use crate::plan::sample;
    use crate::schema::Builtin;
    use crate::spec::CompareSettings;

    /// Where a pass of a table that no index serves stands.
    fn written() -> Vec<u8> {
        let plan =
            sample::same(&[("id", Builtin::Int4, true), ("v", Builtin::Text, false)], &["id"]);
        let pass = Pass::of(&plan, ChunkSettings::of(&CompareSettings::default()));
        let stand = Stand::Open(Box::new(pass.progress()));
        postcard::to_stdvec(&PassState { booked: 3, stand }).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn random_bytes_are_no_pass(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = postcard::take_from_bytes::<PassState>(&bytes);
            let _ = postcard::take_from_bytes::<Ruled>(&bytes);
        }

        #[test]
        fn a_pass_of_cut_or_flipped_bytes_is_read_or_refused(
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let mut bytes = written();
            prop_assert!(postcard::take_from_bytes::<PassState>(&bytes).is_ok());
            let at = at.index(bytes.len());
            prop_assert!(postcard::take_from_bytes::<PassState>(&bytes[..at]).is_err());
            bytes[at] ^= 1 << bit;
            let _ = postcard::take_from_bytes::<PassState>(&bytes);
        }
    }

    #[test]
    fn what_a_pass_has_compared_counts_as_a_whole() {
        let kept = |chunk: u64| Kept {
            chunk: FIRST_OF_PASS + chunk,
            range: KeyRange::everything(),
            rows: 0,
            state: KeptState::Dirty,
        };
        let stored = |numbers: &[u64], booked: u64| Stored {
            of_pass: numbers.iter().map(|number| kept(*number)).collect(),
            booked,
            ..Stored::default()
        };
        assert!(stored(&[], 0).adds_up(true) && stored(&[0, 1], 2).adds_up(false));
        assert!(!stored(&[0], 2).adds_up(false) && !stored(&[0, 2], 2).adds_up(false));
        assert!(!Stored { shards: 1, ..stored(&[0], 1) }.adds_up(false));
        // Chunks of keys count by themselves, unless a sample has to count them.
        assert!(Stored { damaged: 1, shards: 1, ..stored(&[], 0) }.adds_up(false));
        assert!(!Stored { damaged: 1, ..stored(&[], 0) }.adds_up(true));
    }
}
