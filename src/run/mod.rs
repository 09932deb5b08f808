//! The run: moves a comparison or a repair from its plan to its summary.
//!
//! One scheduler owns all state that changes, and reports to the observer. Workers carry out one task
//! each and return its answer. What decides is in modules without I/O: `chunks` (which range next),
//! `candidates` (what becomes of a difference), `throttle` (how fast), `repair` (which changes, in which order).
//!
//! | file | holds |
//! |---|---|
//! | `run_loop`, `scheduler`, `run_context` | a run from its start to its summary |
//! | [`work`] | workers: each carries out one task |
//! | `monitor`, `batch_interval` | holding a comparison or a repair back |
//! | `recheck_prior`, `resume`, `slices` | a run that rechecks, is resumed, compares a slice |
//! | `cluster`, `shards` | a run of many processes |
//! | `sequences` | the target's sequences, for the gate |
//! | [`repair`] | makes and applies repairs |

mod batch_interval;
mod cluster;
mod failure;
mod monitor;
mod recheck_prior;
mod repair;
mod resume;
mod run_context;
mod run_loop;
mod scheduler;
mod sequences;
mod shards;
mod slices;
mod work;

pub use crate::prepare::{
    Options, Prepared, SinceOption, Stop, Trouble, agree, changes, clocks, prepare,
    read_from_start, same_servers, unstorable,
};
pub use crate::repair::RepairOptions;
pub use crate::repair_folder::Journal;
pub use cluster::{ShareOutcome, share};
pub use recheck_prior::{PriorResults, recheck};
pub use repair::{
    ApplyOutcome, ApplyProgress, DifferingRows, RepairOutcome, VerifiedFolder, repair,
    verify_folder,
};
pub use run_loop::{RunObservers, RunStart, compare};
pub use sequences::sequences;
pub use slices::slice;
