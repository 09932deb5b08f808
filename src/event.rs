//! What happens during a run, told as it happens: the only corridor out of the engine.
//!
//! The engine prints nothing and writes no file. It hands events to one [`Observer`]; progress
//! bars, reports, logs and traces are made of them in `cli`. What has a duration comes as a pair of
//! started and finished with one id.

use std::time::Duration;

use crate::finding::{Finding, MappingRecord, RunRecord, SummaryRecord, Undecided};
use crate::schema::{BySide, Side};

/// One thing that happened. `mapping` is a mapping's place in the run.
#[derive(Clone, Debug)]
pub enum Event {
    /// A run begins.
    RunStarted(RunRecord),
    /// A mapping's scan begins.
    MappingStarted {
        /// Which mapping.
        mapping: usize,
        /// Its name.
        name: String,
        /// Rows of the larger side by the statistics.
        estimated_rows: Option<u64>,
    },
    /// A mapping goes on where an interrupted run has left it.
    MappingResumed {
        /// Which mapping.
        mapping: usize,
        /// Chunks that are not read again.
        chunks: u64,
        /// Their rows on a side, about.
        rows: u64,
    },
    /// A chunk is on its way.
    ChunkStarted {
        /// Which mapping.
        mapping: usize,
        /// The chunk's number within the mapping.
        chunk: u64,
    },
    /// A chunk was compared.
    ChunkFinished {
        /// Which mapping.
        mapping: usize,
        /// The chunk's number within the mapping.
        chunk: u64,
        /// Rows read on each side.
        rows: BySide<u64>,
        /// Differences at first sight.
        suspects: u64,
        /// How long it took.
        elapsed: Duration,
    },
    /// Suspects are being looked at again.
    RecheckStarted {
        /// The batch's number within the run.
        batch: u64,
        /// Suspects in it.
        suspects: u64,
    },
    /// Suspects were looked at again.
    RecheckFinished {
        /// The batch's number within the run.
        batch: u64,
        /// Suspects that are still open, in the whole run.
        open: u64,
    },
    /// A statement failed and is tried again.
    Retried {
        /// On which side, where that is known.
        side: Option<Side>,
        /// Why, without any row value.
        reason: String,
    },
    /// The run is held back for the sake of others.
    PaceStarted {
        /// The number of this time within the run.
        period: u64,
        /// Whether nothing new is started; otherwise it goes slower.
        waits: bool,
        /// Why.
        reason: String,
    },
    /// That is over.
    PaceFinished {
        /// The number of this time within the run.
        period: u64,
        /// How long it was.
        elapsed: Duration,
    },
    /// A difference stands.
    Finding {
        /// Which mapping.
        mapping: usize,
        /// What was found.
        finding: Finding,
    },
    /// A range could not be judged.
    Undecided(Undecided),
    /// A mapping's scan and rechecks are done.
    MappingFinished {
        /// Which mapping.
        mapping: usize,
        /// What it came to.
        record: Box<MappingRecord>,
    },
    /// The run was asked to stop and finishes what is in hand.
    Stopping {
        /// Why.
        reason: String,
    },
    /// The run is over.
    RunFinished(SummaryRecord),
}

/// Who hears of events.
pub trait Observer {
    /// Takes one event in. It is called from the run's own loop, so it must not dawdle.
    fn observe(&mut self, event: Event);
}
