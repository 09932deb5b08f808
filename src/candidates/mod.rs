//! Candidates: what becomes of a difference that a scan has seen. Settling, rechecks to do, one-sided
//! ranges, and the state of a mapping during a run. State machines without I/O; `run` carries out
//! their tasks.

mod account;
mod checkpoints;
mod clock;
mod context;
mod counted;
mod mapping;
mod one_sided;
mod prior_findings;
mod prior_keys;
mod queue;
mod resume;
mod second_scan;
mod settlement;
mod slice;
mod task;

pub(crate) use checkpoints::{Checkpoints, FIRST_OF_PASS, PassState, RulingRecord, Stored};
pub(crate) use clock::RunClock;
pub(crate) use context::{Context, Settings};
pub(crate) use counted::Counted;
pub(crate) use mapping::MappingState;
pub(crate) use prior_keys::{Again, Slice};
pub(crate) use queue::{Entry, Queue, keys_at_once};
pub(crate) use resume::ToRead;
pub(crate) use task::{Answer, Task, Work};
