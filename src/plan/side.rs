//! One side of a mapping's plan: what is read, and how.

use super::changed_at::ChangedAt;
use super::changed_since::ChangedSince;
use crate::schema::{ColumnName, RelationKind, SchemaName, Shape};
use crate::spec::{Fragment, Reads};

/// The plan of one side of a mapping.
#[derive(Clone, Debug)]
pub struct SidePlan {
    /// What is read.
    pub reads: Reads,
    /// Whether rows of tables that inherit from it are left out.
    pub only: bool,
    /// The condition of the rows.
    pub filter: Option<Fragment>,
    /// The schemas in which names of the spec's SQL are resolved.
    pub search_path: Vec<SchemaName>,
    /// The kind of relation.
    pub kind: RelationKind,
    /// The number of rows, by the statistics.
    pub estimated_rows: Option<u64>,
    /// The index that proves the key unique and without NULLs.
    pub key_proof: Option<String>,
    /// Whether the key may hold NULLs.
    pub key_nullable: bool,
    /// The index that serves key ranges.
    pub served_by: Option<String>,
    /// Whether its rows can be read by ranges of blocks.
    pub by_blocks: bool,
    /// Its identity at planning time. The file of its rows is part of it only where they are read by
    /// ranges of blocks.
    pub shape: Shape,
    /// The file of its rows, if they can be read by ranges of blocks.
    pub(super) file: Option<u32>,
    /// The last-modified column.
    pub changed_at: Option<ChangedAt>,
    /// The limit to recently changed rows (`--since`), if there is one.
    pub since: Option<ChangedSince>,
}

impl SidePlan {
    /// Returns the last-modified column, if findings may show it.
    pub fn reported_changed_at(&self) -> Option<&ColumnName> {
        let shown = self.changed_at.as_ref().filter(|changed| !changed.redacted);
        shown.map(|changed| &changed.column)
    }
}
