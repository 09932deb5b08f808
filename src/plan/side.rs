//! One side of a mapping's plan: what is read there, and what helps to read it.

use super::changed_at::ChangedAt;
use super::changed_since::ChangedSince;
use crate::schema::{ColumnName, RelationKind, SchemaName, Shape};
use crate::spec::{Fragment, Reads};

/// One side of a mapping.
#[derive(Clone, Debug)]
pub struct SidePlan {
    /// What is read.
    pub reads: Reads,
    /// Whether rows of tables that inherit from it are left out.
    pub only: bool,
    /// Which rows.
    pub filter: Option<Fragment>,
    /// Schemas in which the side's own SQL resolves.
    pub search_path: Vec<SchemaName>,
    /// What kind of thing is read.
    pub kind: RelationKind,
    /// Rows by the statistics.
    pub estimated_rows: Option<u64>,
    /// The index that proves the key unique and without NULLs.
    pub key_proof: Option<String>,
    /// Whether the key may hold NULLs.
    pub key_nullable: bool,
    /// The index that serves key ranges.
    pub served_by: Option<String>,
    /// Whether its rows can be read block by block.
    pub by_blocks: bool,
    /// What it was when it was planned. In which file its rows lie is part of that only where they are
    /// read block by block.
    pub shape: Shape,
    /// In which file they lie, if it can be read block by block.
    pub(super) file: Option<u32>,
    /// The column that says when a row was last changed.
    pub changed_at: Option<ChangedAt>,
    /// Which rows are young enough to be looked at, where not all are.
    pub since: Option<ChangedSince>,
}

impl SidePlan {
    /// The last-modified column, if findings may tell what it says.
    pub fn reported_changed_at(&self) -> Option<&ColumnName> {
        let told = self.changed_at.as_ref().filter(|changed| !changed.redacted);
        told.map(|changed| &changed.column)
    }
}
