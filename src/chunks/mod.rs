//! Chunks: which range of a table is read next, and how large it is. State machines without I/O; `run`
//! reads what they need.
//!
//! | file | holds |
//! |---|---|
//! | `queue` | the chunk queue of a mapping |
//! | `remaining_ranges`, `boundaries`, `in_flight` | its parts: remaining ranges, chunk boundaries, chunks in flight |
//! | `size`, `histogram`, `sample` | how many rows the next chunk has: by time, by statistics, in a sample |
//! | `block_scan` | the table scan by blocks, where keys have no useful order |
//! | `step` | what a scan needs next |
//! | `prior`, `tiles` | chunks of an interrupted run |
//! | `shards` | the ranges of a run of many processes |
//! | `verified_ranges` | what a run has verified |

mod block_scan;
mod boundaries;
mod failure;
mod histogram;
mod in_flight;
mod prior;
mod queue;
mod remaining_ranges;
mod sample;
mod settings;
mod shards;
mod size;
mod step;
mod tiles;
mod verified_ranges;

pub(crate) use block_scan::{BlockContent, BlockProgress, BlockResult, BlockScan, BlockScanState};
pub(crate) use failure::{LEAST_ROWS, ReadFailure};
pub(crate) use in_flight::{ChunkOutcome, FinishedChunk, MOST_GIVEN_UP};
pub use prior::{PriorChunk, PriorChunkState, StoredOutcome};
pub(crate) use queue::ChunkQueue;
pub(crate) use remaining_ranges::ScanRange;
pub(crate) use settings::ChunkSettings;
pub(crate) use shards::{bounds_between, tiles_between};
pub(crate) use size::MOST_CHANGED_KEYS;
pub(crate) use step::{BlockRead, BlockStep, ScanStep, TablePart};
pub(crate) use verified_ranges::VerifiedRanges;
