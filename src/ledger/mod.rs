//! The ledger: runs, their findings over time, and the checkpoints of interrupted runs.
//!
//! By default it is one SQLite file beside the spec, because a tool that runs from cron should need no
//! server of its own; the library is built in. Many machines share tables in a PostgreSQL database
//! instead. A comparison writes it as events happen and is never stopped by it: a ledger that cannot be
//! written causes a warning, not another verdict. A lock or a lease excludes two runs of a spec.
//!
//! Values of rows are stored as the outputs show them: redacted ones hashed, none with `--keys-only`.
//! Bounds of redacted keys are encrypted under a secret that the ledger does not hold, or not stored.
//! So only the owner may read the folder and the files.
//!
//! | file | holds |
//! |---|---|
//! | [`storage`] | the two stores, what goes into them and comes out, and the versions of their tables |
//! | `statements/` | every SQL statement |
//! | `recorder`, `checkpoint`, `coverage` | what a run writes, and what it reads when it is resumed |
//! | `history`, `run_order`, `run_row`, `interrupted_run` | what is read of past runs |
//! | `shared_run`, `lease`, `lock` | a run of many processes; which run excludes which |
//! | `checksum`, `cipher`, `redaction`, `identity` | what protects stored values and identifies findings |
//! | `location`, `leftover_files`, `retention` | where ledgers are, and which of their data is deleted |

mod checkpoint;
mod checksum;
mod cipher;
mod coverage;
mod history;
mod identity;
mod interrupted_run;
mod lease;
mod leftover_files;
mod location;
mod lock;
mod problems;
mod recorder;
mod redaction;
mod retention;
mod run_order;
mod run_row;
mod shared_run;
mod storage;

pub use checkpoint::{StoredBlockScan, StoredChunks};
pub use cipher::Cipher;
pub use coverage::CoverageReading;
pub use history::ReplayOutcome;
pub use interrupted_run::{InterruptedRun, Resumable};
pub use lease::{Lease, LeaseKind, LeaseRequest, RENEWED_EVERY};
pub use leftover_files::find_leftover_files;
pub use location::{LedgerSetting, Location, path_beside};
pub use lock::{Acquisition, Lock};
pub use problems::{damaged_run, no_answer, unknown_mapping};
pub use recorder::Recorder;
pub use redaction::Redaction;
pub use shared_run::{Shard, ShardCounts, SharedRun};
pub use storage::store::Store;
