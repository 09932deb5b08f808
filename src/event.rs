//! Events: what happens during a run, in the order in which it happens.
//!
//! The engine prints nothing and writes no file. It sends events to one [`Observer`]; progress
//! bars, reports, logs and traces are made from them in `cli`. What has a duration has two events,
//! started and finished, with one id.

use std::time::Duration;

use crate::finding::{Finding, MappingRecord, RunRecord, SummaryRecord, Undecided};
use crate::schema::{BySide, Side};

/// One event. `mapping` is a mapping's place in the run.
#[derive(Clone, Debug)]
pub enum Event {
    /// A run starts.
    RunStarted(RunRecord),
    /// A mapping's scan starts.
    MappingStarted {
        /// The mapping.
        mapping: usize,
        /// Its name.
        name: String,
        /// Rows of the larger side by the statistics.
        estimated_rows: Option<u64>,
    },
    /// A mapping of an interrupted run is resumed.
    MappingResumed {
        /// The mapping.
        mapping: usize,
        /// Chunks that are not read again.
        chunks: u64,
        /// Their rows on a side, about.
        rows: u64,
    },
    /// A chunk is being read.
    ChunkStarted {
        /// The mapping.
        mapping: usize,
        /// The chunk's number within the mapping.
        chunk: u64,
    },
    /// A chunk was compared.
    ChunkFinished {
        /// The mapping.
        mapping: usize,
        /// The chunk's number within the mapping.
        chunk: u64,
        /// Rows read on each side.
        rows: BySide<u64>,
        /// Candidates: differences seen and not yet confirmed.
        candidates: u64,
        /// How long it took.
        elapsed: Duration,
    },
    /// Candidates are being rechecked.
    RecheckStarted {
        /// The batch's number within the run.
        batch: u64,
        /// Candidates in it.
        candidates: u64,
    },
    /// Candidates were rechecked.
    RecheckFinished {
        /// The batch's number within the run.
        batch: u64,
        /// Candidates that are still open, in the whole run.
        open: u64,
    },
    /// A statement failed and is retried.
    Retried {
        /// On which side, where that is known.
        side: Option<Side>,
        /// Why, without any row value.
        reason: String,
    },
    /// The run is throttled, to spare other sessions.
    PaceStarted {
        /// The period's number within the run.
        period: u64,
        /// Whether nothing new is started; otherwise it runs slower.
        waits: bool,
        /// Why.
        reason: String,
    },
    /// The run is no longer throttled.
    PaceFinished {
        /// The period's number within the run.
        period: u64,
        /// How long it was.
        elapsed: Duration,
    },
    /// A difference is confirmed, accepted or unsettled.
    Finding {
        /// The mapping.
        mapping: usize,
        /// The finding.
        finding: Finding,
    },
    /// A range could not be judged.
    Undecided(Undecided),
    /// A mapping's scan and rechecks are done.
    MappingFinished {
        /// The mapping.
        mapping: usize,
        /// Its record.
        record: Box<MappingRecord>,
    },
    /// A stop was requested; chunks in flight are finished.
    Stopping {
        /// Why.
        reason: String,
    },
    /// The run is over.
    RunFinished(SummaryRecord),
}

/// Receives events.
pub trait Observer {
    /// Receives one event. The run's loop waits for it, so it must be quick.
    fn observe(&mut self, event: &Event);
}
