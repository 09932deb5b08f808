//! From findings to changes, and from changes to scripts that somebody signs.
//!
//! ```text
//! findings ─▶ wanted keys ─▶ rows of both sides, read again ─▶ changes ─▶ NNN-….sql, .undo.sql
//!                               (by `run`)                           └─▶ NNN-….jsonl, for `apply`
//! ```
//!
//! A change carries its guard: the row's image as it was read. A script changes only rows that still
//! have it, then proves that every row is as intended, or changes nothing. Everything here is pure;
//! the script is a document, and the only place where values stand as quoted literals.

mod change;
mod equality;
mod findings;
mod links;
mod manifest;
mod order;
mod quote;
mod reaches;
mod rows;
mod scope;
mod script;
mod statements;
mod work;

pub use change::{Act, Change, Exchange, Image, ImageColumn, Manner, Shape, Standin};
pub use equality::{coarse, ordered};
pub use findings::{Findings, Wanted, WantedPlace};
pub use manifest::{
    Described, FileSeal, Manifest, NoManifest, Part, Place, Stage, TableIdentity, Unseen,
};
pub use order::{Mark, Marker, Needs, groups};
pub use quote::{file_stem, literal, one_line};
pub use reaches::{Reached, reaches};
pub use rows::{fields, value};
pub use scope::{Filled, Limits, Scope, standin};
pub use script::{BATCH_ROWS, Head, PLAIN_ROWS, batch, foot, head};
pub use statements::Batch;
pub use work::{GUARD, stands_in};
