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
mod flips;
mod identity;
mod interrupted;
mod lease;
mod leftover;
mod lock;
mod migration;
mod past;
mod place;
mod problems;
mod recorder;
mod redaction;
mod retention;
mod run_order;
mod run_row;
mod schema;
mod shared;
mod sharing;
mod store;
mod stored_row;

pub use checkpoint::{Checked, Kept, KeptState, StoredChunks, StoredPass};
pub use cipher::Cipher;
pub use coverage::Covered;
pub use interrupted::{Interrupted, Resumable};
pub use lease::{Lease, LeaseKind, LeaseRequest, RENEWED_EVERY};
pub use leftover::leftover;
pub use lock::Lock;
pub use past::Retold;
pub use place::{Location, Place, place_beside};
pub use problems::{damaged_run, no_answer, unknown_mapping};
pub use recorder::Recorder;
pub use redaction::Redaction;
pub use sharing::{Left, Shard, Sharing};
pub use store::Store;
