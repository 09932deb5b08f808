//! Makes and applies repairs: connects, reads rows, queries the servers, and passes the results to
//! `repair::plan`, which decides. Folders are written and read by `repair_folder`.
//!
//! | file | holds |
//! |---|---|
//! | `make_repair` | a repair from findings to a folder |
//! | `written_tables` | the tables that are written, from the catalog |
//! | `read_rows` | reads the rows of findings again |
//! | `draft_queries` | queries the written side about drafts of changes |
//! | `verify_folder` | checks a folder against its server |
//! | `apply`, `apply_outcome` | runs the batches of a folder |
//! | `verify_applied` | reads the changed rows again |

mod apply;
mod apply_outcome;
mod draft_queries;
mod make_repair;
mod read_rows;
mod verify_applied;
mod verify_folder;
mod written_tables;

pub use apply_outcome::{ApplyOutcome, ApplyProgress};
pub use make_repair::{RepairOutcome, repair};
pub use verify_applied::DifferingRows;
pub use verify_folder::{VerifiedFolder, verify_folder};
pub(super) use written_tables::catalog;
