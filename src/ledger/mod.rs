//! What is remembered from run to run: runs, findings over time, where an interrupted run stands.
//!
//! By default one SQLite file beside the spec, because a tool that runs from cron should need no
//! server of its own to remember; the library is built in. Many machines share tables in a PostgreSQL
//! database instead. A comparison writes it as things happen and is never stopped by it: a ledger that
//! cannot be written makes one warning, not another verdict. A lock keeps two runs apart.
//!
//! Rows' values stand in it as the outputs tell them: redacted ones hashed, none with `--keys-only`.
//! Bounds of redacted keys are encrypted under a secret that it does not hold, or not stored.
//! So the folder and the files are their owner's alone.

mod checkpoint;
mod checksum;
mod cipher;
mod coverage;
mod file;
mod flip_tests;
mod history;
mod identity;
mod interrupted_run;
mod lease;
mod leftover_files;
mod location;
mod lock;
mod migration;
mod problems;
mod recorder;
mod redaction;
mod retention;
mod run_order;
mod run_row;
mod schema;
mod shared_run;
mod shared_store;
mod store;
mod stored_row;

pub use checkpoint::{StoredBlockScan, StoredChunks};
pub use cipher::Cipher;
pub use coverage::CoverageReading;
pub use history::ReplayOutcome;
pub use interrupted_run::{InterruptedRun, Resumable};
pub use lease::{Lease, LeaseKind, LeaseRequest, RENEWED_EVERY};
pub use leftover_files::find_leftover_files;
pub use location::{LedgerSetting, Location, path_beside};
pub use lock::Lock;
pub use problems::{damaged_run, no_answer, unknown_mapping};
pub use recorder::Recorder;
pub use redaction::Redaction;
pub use shared_run::{Shard, ShardCounts, SharedRun};
pub use store::Store;
