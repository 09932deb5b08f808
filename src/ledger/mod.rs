//! What is remembered from run to run: runs, findings over time, where an interrupted run stands.
//!
//! By default one SQLite file beside the spec, because a tool that runs from cron should need no
//! server of its own to remember; the library is built in. Many machines share tables in a PostgreSQL
//! database instead. A comparison writes it as things happen and is never stopped by it: a ledger that
//! cannot be written makes one warning, not another verdict. A lock keeps two runs apart.
//!
//! Rows' values stand in it as the outputs tell them: redacted ones hashed, none with `--keys-only`.
//! So the folder and the files are their owner's alone.

mod checkpoint;
mod coverage;
mod error;
mod file;
mod identity;
mod interrupted;
mod lease;
mod leftover;
mod lock;
mod past;
mod place;
mod recorder;
mod retention;
mod schema;
mod shared;
mod sharing;
mod store;
mod value;

pub use checkpoint::{Checked, Kept, KeptState};
pub use error::LedgerError;
pub use interrupted::Interrupted;
pub use lease::{Lease, RENEWED_EVERY};
pub use leftover::leftover;
pub use lock::Lock;
pub use past::Retold;
pub use place::{Location, Place, place_beside};
pub use recorder::Recorder;
pub use sharing::{Left, Shard, Sharing};
pub use store::Store;
