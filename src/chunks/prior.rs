//! Chunks that a run has compared, as its ledger stores them for the case that it is interrupted.

use crate::compare::Comparison;
use crate::row::KeyRange;

/// A chunk of an interrupted run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorChunk {
    /// The chunk's number within the mapping.
    pub chunk: u64,
    /// The chunk's keys.
    pub range: KeyRange,
    /// The estimated rows.
    pub rows: u64,
    /// The outcome.
    pub state: PriorChunkState,
}

/// The outcome of a chunk of an interrupted run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriorChunkState {
    /// Both sides have this many rows and agree.
    Clean(u64),
    /// The sides differ; the ledger stores how.
    Dirty,
    /// The chunk is not in the sample.
    Skipped,
    /// The chunk could not be compared; the ledger stores why.
    Undecided,
}

/// The outcome of a chunk as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum StoredOutcome<'c> {
    /// The chunk was compared.
    Compared(&'c Comparison),
    /// The chunk is not in the sample.
    Skipped,
    /// The chunk could not be compared, for this reason. Only a run of many processes stores it, for
    /// another process completes the run.
    Undecided(&'c str),
}
