//! What a catalog says of the sequence that fills a column.

use super::{ColumnName, PgType, TableName};

/// A column that a sequence fills where an INSERT leaves it out: an identity column, one whose default
/// is the sequence's next number, or the column that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceLink {
    /// The column.
    pub column: ColumnName,
    /// What its type is.
    pub pg_type: PgType,
    /// The sequence.
    pub sequence: TableName,
    /// How far it is from one number to the next.
    pub increment: i64,
    /// The last number that it has.
    pub end: i64,
    /// Whether the role may read it.
    pub readable: bool,
}
