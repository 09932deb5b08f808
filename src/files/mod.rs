//! Files that the program writes: the ledger and its lock, reports, repair folders and their records,
//! temporary files. All of them are created, opened for writing, renamed and removed here.
//!
//! Another user who can create names in a folder, or write to a file, could make the program overwrite
//! another file, or trust rows and records that this user wrote. So a folder is opened once and checked by
//! its descriptor, a name in it is resolved from that descriptor without following a link, and a file is
//! checked after it was opened. Nothing is truncated or written before that.
//!
//! Files that are only read (specs, certificates, password files) are opened where they are used: they
//! may be links, as they are in a mounted ConfigMap.

mod directory;
mod ownership;
mod staged_entry;

pub use directory::{Directory, create_folder};
pub use ownership::Purpose;
pub use staged_entry::{StagedEntry, create_unnamed_file};
