//! Checkpoints: what is stored of a mapping during a run, so that an interrupted run can be resumed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::open_ranges::StoredPart;
use crate::chunks::{BlockScanState, PriorChunk, StoredOutcome};
use crate::compare::PartCounts;
use crate::finding::Ruling;
use crate::row::{Key, KeyRange};
use crate::schema::Side;

/// A part of a one-sided range that is confirmed, as it is stored. [`StoredPart`] is what is read back.
#[derive(Debug, Serialize)]
pub(crate) struct PartRecord<'r> {
    pub(crate) side: Side,
    pub(crate) through: Option<Key>,
    pub(crate) ruling: &'r Ruling,
    pub(crate) parts: &'r PartCounts,
}

/// Stores the checkpoints of a run.
pub(crate) trait Checkpoints {
    /// Returns whether checkpoints are stored at all.
    fn are_stored(&self) -> bool;

    /// Returns whether the last checkpoint was stored long enough ago for a large one.
    fn are_due(&self) -> bool;

    /// Stores the outcome of a chunk with its number, keys and estimated rows.
    fn store_chunk(
        &mut self,
        mapping: &str,
        chunk: (u64, &KeyRange, u64),
        outcome: StoredOutcome<'_>,
    );

    /// Stores how far a table scan by blocks has come.
    fn store_scan(&mut self, mapping: &str, scan: &StoredScan);

    /// Stores the part of a one-sided range that begins after a key.
    fn store_part(&mut self, mapping: &str, after: &Option<Key>, part: &PartRecord<'_>);

    /// Forgets the chunk that is stored in a place.
    fn forget_chunk(&mut self, mapping: &str, place: i64);

    /// Forgets all checkpoints of a mapping.
    fn forget_mapping(&mut self, mapping: &str);
}

/// The numbers of a table scan's results begin here, above those of all chunks.
pub(crate) const FIRST_BLOCK_RESULT: u64 = 1 << 40;

/// How far a table scan by blocks has come.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredScan {
    /// How often it has compared hash buckets for good.
    pub(crate) block_results: u64,
    pub(crate) phase: ScanPhase,
}

/// What follows a table scan by blocks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ScanPhase {
    /// It continues from here.
    Open(Box<BlockScanState>),
    /// Everything is compared.
    Finished,
    /// Key ranges are compared instead.
    Useless,
}

/// What is stored of a mapping of an interrupted run.
#[derive(Default)]
pub(crate) struct StoredMapping {
    /// Chunks of key ranges.
    pub(crate) chunks: Vec<PriorChunk>,
    /// The results of a table scan, by number.
    pub(crate) results: Vec<PriorChunk>,
    /// The number of results that there should be.
    pub(crate) block_results: u64,
    pub(crate) phase: Option<ScanPhase>,
    pub(crate) confirmed: HashMap<Option<Key>, StoredPart>,
    /// The number of damaged checkpoints.
    pub(crate) damaged: u64,
    /// The places of the chunks among them.
    pub(crate) places: Vec<i64>,
    /// The number of shards among them.
    pub(crate) shards: u64,
}

impl StoredMapping {
    /// Returns whether what is sound counts without what is damaged. Key ranges do: what they do not
    /// cover is read again. A table scan counts as a whole, and so does a sample, which takes and skips
    /// chunks in turn.
    pub(crate) fn adds_up(&self, is_sample: bool) -> bool {
        let is_numbered =
            |(at, result): (usize, &PriorChunk)| result.chunk == FIRST_BLOCK_RESULT + at as u64;
        let has_all = self.results.len() as u64 == self.block_results;
        let is_whole = has_all && self.results.iter().enumerate().all(is_numbered);
        is_whole
            && (self.shards == 0 || self.results.is_empty())
            && (self.damaged == 0 || !is_sample)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunks::{BlockScan, ChunkSettings, PriorChunkState};
    use crate::plan::sample;
    use crate::schema::Builtin;
    use crate::spec::CompareSettings;

    /// Returns how far the scan of a table without an index has come.
    fn written() -> Vec<u8> {
        let plan =
            sample::same(&[("id", Builtin::Int4, true), ("v", Builtin::Text, false)], &["id"]);
        let scan = BlockScan::of(&plan, ChunkSettings::of(&CompareSettings::default()));
        let phase = ScanPhase::Open(Box::new(scan.state()));
        postcard::to_stdvec(&StoredScan { block_results: 3, phase }).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn random_bytes_are_no_scan(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = postcard::take_from_bytes::<StoredScan>(&bytes);
            let _ = postcard::take_from_bytes::<StoredPart>(&bytes);
        }

        #[test]
        fn a_scan_of_damaged_bytes_is_read_or_refused(
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let mut bytes = written();
            prop_assert!(postcard::take_from_bytes::<StoredScan>(&bytes).is_ok());
            let at = at.index(bytes.len());
            prop_assert!(postcard::take_from_bytes::<StoredScan>(&bytes[..at]).is_err());
            bytes[at] ^= 1 << bit;
            let _ = postcard::take_from_bytes::<StoredScan>(&bytes);
        }
    }

    #[test]
    fn results_of_a_table_scan_count_as_a_whole() {
        let kept = |chunk: u64| PriorChunk {
            chunk: FIRST_BLOCK_RESULT + chunk,
            range: KeyRange::everything(),
            rows: 0,
            state: PriorChunkState::Dirty,
        };
        let stored = |numbers: &[u64], block_results: u64| StoredMapping {
            results: numbers.iter().map(|number| kept(*number)).collect(),
            block_results,
            ..StoredMapping::default()
        };
        assert!(stored(&[], 0).adds_up(true) && stored(&[0, 1], 2).adds_up(false));
        assert!(!stored(&[0], 2).adds_up(false) && !stored(&[0, 2], 2).adds_up(false));
        assert!(!StoredMapping { shards: 1, ..stored(&[0], 1) }.adds_up(false));
        // Chunks of keys count by themselves, unless a sample has to count them.
        assert!(StoredMapping { damaged: 1, shards: 1, ..stored(&[], 0) }.adds_up(false));
        assert!(!StoredMapping { damaged: 1, ..stored(&[], 0) }.adds_up(true));
    }
}
