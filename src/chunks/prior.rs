//! Chunks that an interrupted run has compared, as its ledger stores them.

use crate::compare::Compared;
use crate::row::KeyRange;

/// A chunk of an interrupted run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The chunk's number within the mapping.
    pub chunk: u64,
    /// The chunk's keys.
    pub range: KeyRange,
    /// The estimated number of rows.
    pub rows: u64,
    /// The outcome.
    pub state: KeptState,
}

/// The outcome of a chunk of an interrupted run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptState {
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
pub enum Checked<'c> {
    /// The chunk was compared.
    Compared(&'c Compared),
    /// The chunk is not in the sample.
    Skipped,
    /// The chunk could not be compared, for this reason. Only a run of many processes stores it, for
    /// another process completes the run.
    Undecided(&'c str),
}
