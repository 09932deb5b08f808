//! The tasks of a mapping, and their answers. An answer carries its question with it, so that no answer
//! can be taken for that of another task.

use std::time::Duration;

use super::open_ranges::ConfirmedRange;
use super::queue::OpenCandidate;
use crate::chunks::{BlockRead, BlockResult};
use crate::compare::{
    CandidateKey, Expectation, KeyGap, OneSidedRange, PartCounts, RangeComparison, RowDiff,
};
use crate::row::{Bound, Digest, Key, KeyRange};
use crate::schema::{BySide, Side};

/// A task of one mapping; `mapping` is the mapping's place in the run.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) mapping: usize,
    pub(crate) task: Task,
}

/// Something that a worker does.
#[derive(Debug)]
pub(crate) enum Task {
    /// Reads the histogram of the key.
    ReadHistogram(Side),
    /// Finds a boundary.
    Probe(Probe),
    /// Compares a chunk.
    ScanChunk(ChunkScan),
    /// Reads how many blocks the tables have.
    CountBlocks,
    /// Reads blocks into hash buckets.
    ReadBlocks(BlockRead),
    /// Compares a range again that was taken for one-sided.
    Rescan(Rescan),
    /// Finds where to cut such a range.
    Split(Split),
    /// Finds the gap of one side's keys around rows of the other.
    FindGap(GapSearch),
    /// Reads the keys of a few one-sided rows.
    ReadKeys(OneSidedRange),
    /// Counts the rows with a NULL in their key.
    CountNullKeys,
    /// Rechecks keys that a prior run has found.
    RecheckPrior(Vec<Key>),
    /// Rechecks keys.
    RecheckKeys(KeyBatch),
    /// Rechecks a one-sided range.
    RecheckRange(OpenCandidate),
    /// Rechecks the rows of one side with a NULL in their key.
    RecheckNullKeys(OpenCandidate),
    /// Finds the last key of a confirmed range, to name the range.
    NameRange(ConfirmedRange),
    /// Finds the range that holds only one key, to name a key that cannot be rechecked.
    LocateKey(UnreadableKey),
    /// Finds the first and the last key of a side, to report which rows lie beyond them.
    FindEnds(Side),
}

/// The answer to a task: its question, as far as it is needed then, and what came back.
#[derive(Debug)]
pub(crate) enum TaskAnswer {
    ReadHistogram(Side, Vec<Bound>),
    Probe(Probe, Option<Bound>),
    ScanChunk(ChunkScan, ScanResult),
    CountBlocks(BySide<u32>),
    ReadBlocks(BlockRead, BlockResult),
    Rescan(Rescan, ScanResult),
    /// The boundary, and the estimated rows up to it.
    Split(Split, Option<(Bound, u64)>),
    FindGap(KeyGap),
    ReadKeys(OneSidedRange, Vec<CandidateKey>),
    CountNullKeys(BySide<CountedRows>),
    RecheckPrior(Vec<Key>, Vec<RowDiff>),
    RecheckKeys(KeyBatch, Vec<RowDiff>),
    RecheckRange(OpenCandidate, BySide<CountedRows>),
    RecheckNullKeys(OpenCandidate, BySide<CountedRows>),
    NameRange(ConfirmedRange, Option<Bound>),
    LocateKey(UnreadableKey, Option<KeyRange>),
    FindEnds(Side, Option<[Bound; 2]>),
}

/// Which boundary to find: the key at this row of a range.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) side: Side,
    pub(crate) range: KeyRange,
    pub(crate) rows: u64,
}

/// Which chunk to compare.
#[derive(Debug)]
pub(crate) struct ChunkScan {
    pub(crate) chunk: u64,
    pub(crate) range: KeyRange,
    pub(crate) expected: Expectation,
    /// Whether it cannot be cut any smaller.
    pub(crate) smallest: bool,
}

/// What the comparison of a range has returned.
#[derive(Debug)]
pub(crate) struct ScanResult {
    pub(crate) compared: RangeComparison,
    /// The duration of the first statement.
    pub(crate) statement: Duration,
}

/// Which range to compare again.
#[derive(Debug)]
pub(crate) struct Rescan {
    pub(crate) range: KeyRange,
    /// The estimated rows.
    pub(crate) rows: u64,
    /// Whether it cannot be cut any smaller.
    pub(crate) smallest: bool,
}

/// Which range to cut in two, and why.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) range: KeyRange,
    /// The estimated rows.
    pub(crate) rows: u64,
    /// The minimum of rows up to the boundary.
    pub(crate) least: u64,
    pub(crate) reason: String,
}

/// Around which keys to find a gap: the neighbours of the side across from `side`.
#[derive(Debug)]
pub(crate) struct GapSearch {
    pub(crate) side: Side,
    pub(crate) low: Option<Key>,
    pub(crate) high: Option<Key>,
}

/// Keys that are rechecked together.
#[derive(Debug)]
pub(crate) struct KeyBatch {
    /// The number of the batch within the run.
    pub(crate) batch: u64,
    pub(crate) candidates: Vec<OpenCandidate>,
}

/// A key that cannot be rechecked, and why.
#[derive(Debug)]
pub(crate) struct UnreadableKey {
    pub(crate) candidate: OpenCandidate,
    pub(crate) reason: String,
}

/// Rows of one side that were counted: their digest, and their number by group and accept rule.
#[derive(Debug, Default)]
pub(crate) struct CountedRows {
    pub(crate) digest: Digest,
    pub(crate) parts: PartCounts,
}
