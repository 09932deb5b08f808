//! The folder that `repair` writes and `apply` reads: scripts, their undo, their changes for `apply`, and
//! the record of what was applied.
//!
//! | file | holds |
//! |---|---|
//! | `folder_draft` | a folder and its files while they are written |
//! | `parts`, `part_writer` | all scripts, and the three files of one |
//! | `change_file` | the changes of a script, as `apply` reads them |
//! | `sealed_file` | a file whose checksum was verified |
//! | `folder_check` | checks a folder against its manifest, the spec and the server |
//! | `journal` | which batches were applied |

mod change_file;
mod folder_check;
mod folder_draft;
mod journal;
mod part_writer;
mod parts;
mod sealed_file;

pub(crate) use change_file::ChangeFileReader;
pub(crate) use folder_check::{CheckedFolder, check_folder, check_server};
pub(crate) use folder_draft::FolderDraft;
pub(crate) use journal::BatchNumber;
pub use journal::Journal;
pub(crate) use parts::write_parts;
pub(crate) use sealed_file::SealedFile;
