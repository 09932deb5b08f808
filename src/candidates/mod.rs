//! Candidates: what becomes of a difference that a scan has seen, until it is a finding. State machines
//! without I/O; `run` carries out their tasks.
//!
//! ```text
//! scan ──▶ candidate ──▶ queue ──▶ recheck ──▶ settlement ──▶ finding
//!              └──▶ one-sided range ─┘            └──▶ healed
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `mapping`, `mode` | the state of a mapping: all rows, prior findings, a slice, a shard |
//! | `task`, `next_task`, `answers`, `abandon` | what a worker does for it, and what follows |
//! | `scan` | results of chunks and blocks |
//! | `queue`, `settlement`, `open_ranges` | candidates until they are settled |
//! | `prior_findings`, `prior_keys`, `slice`, `shard` | what the modes have of their own |
//! | `checkpoints`, `resume` | what is stored of it, and resuming from that |
//! | `result` | row counts and findings |
//! | `context`, `clock` | what the mappings of a run share |

mod abandon;
mod answers;
mod checkpoints;
mod clock;
mod context;
mod mapping;
mod mode;
mod next_task;
mod open_ranges;
mod prior_findings;
mod prior_keys;
mod queue;
mod result;
mod resume;
mod scan;
mod settlement;
mod shard;
mod slice;
mod task;

pub(crate) use checkpoints::{
    Checkpoints, FIRST_BLOCK_RESULT, PartRecord, StoredMapping, StoredScan,
};
pub(crate) use clock::RunClock;
pub(crate) use context::{CandidateSettings, Context};
pub(crate) use mapping::MappingState;
pub(crate) use prior_keys::{PriorFindings, SlicePlan};
pub(crate) use queue::{OpenCandidate, RecheckQueue};
pub(crate) use resume::UnreadOutcome;
pub(crate) use task::{
    ChunkScan, CountedRows, KeyBatch, Probe, Rescan, ScanResult, Split, Task, TaskAnswer, Work,
};
