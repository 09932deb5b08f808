//! From findings to changes, and from changes to scripts that a DBA reads and runs.
//!
//! ```text
//! findings ─▶ keys ─▶ rows of both sides, read again ─▶ changes ─▶ NNN-….sql, .undo.sql
//!                        (by `run`)                            └─▶ NNN-….jsonl, for `apply`
//! ```
//!
//! A change carries its guard: the row's image as it was read. A script changes only rows that still
//! equal it, then checks that every row is as intended, or changes nothing. This module has no I/O. A
//! script is the only text in which values are quoted literals.

mod batch;
mod cascade;
mod change;
mod dependencies;
mod equality;
mod findings;
mod foreign_keys;
mod manifest;
pub(crate) mod plan;
mod quote;
mod row_statements;
mod script;
mod staged_rows;
mod writable_mapping;

pub use batch::Batch;
pub use cascade::{Cascade, find_cascades};
pub use change::{
    ApplyMode, ChangeShape, Exchange, Image, ImageColumn, Operation, Placeholder, RowChange,
};
pub use dependencies::{DependencyGraph, ValueHash, ValueHasher, sort_components};
pub use equality::{coarse, ordered};
pub use findings::{RepairFindings, RepairItem, RepairPlace};
pub use manifest::{
    Exclusion, FileChecksum, IncompleteMapping, Manifest, ManifestError, RepairPart, RepairStage,
    TableIdentity, WrittenDatabase,
};
pub use plan::RepairOptions;
pub use quote::escape_file_stem;
pub use row_statements::{GUARD, placeholder_sql};
pub use script::{BATCH_ROWS, PLAIN_ROWS, ScriptHeader, write_batch, write_footer, write_header};
pub use staged_rows::{field_value, fields};
pub use writable_mapping::{FilledColumn, PlaceholderLimits, WritableMapping, placeholder_for};
