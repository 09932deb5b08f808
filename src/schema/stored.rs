//! What a catalog says of a table that somebody means to write: more than a comparison needs.

use super::{ColumnName, PgType, TableName};

/// Who fills a column in where an INSERT leaves it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It is no identity column.
    None,
    /// The server, unless an INSERT overrides it; an UPDATE cannot.
    Always,
    /// The server, unless an INSERT or UPDATE says otherwise.
    ByDefault,
}

/// One column as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type as SQL writes it, without its modifier: a cast to it cuts nothing off.
    pub type_name: String,
    /// What its type is.
    pub pg_type: PgType,
    /// Whether it, or its domain, refuses NULL.
    pub not_null: bool,
    /// Whether the server computes it from the others.
    pub generated: bool,
    /// Whether it is an identity column.
    pub identity: Identity,
    /// Whether it, or its domain, has a default.
    pub has_default: bool,
    /// The sequence that it owns, as SQL writes it.
    pub sequence: Option<String>,
    /// Whether the role may read it.
    pub readable: bool,
}

/// A table whose rows a DELETE would change along with ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The table that refers to this one.
    pub table: TableName,
    /// What a DELETE does there: `CASCADE`, `SET NULL`, `SET DEFAULT`.
    pub action: &'static str,
    /// Its columns, each with the column that it refers to.
    pub columns: Vec<(ColumnName, ColumnName)>,
}

/// A table as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Identifies it within its database.
    pub oid: u32,
    /// Its columns, in the catalog's order.
    pub columns: Vec<StoredColumn>,
    /// Whether it has a unique index that may be checked late: no INSERT can step aside there.
    pub deferrable: bool,
    /// The tables that its foreign keys refer to.
    pub parents: Vec<u32>,
    /// The tables that a DELETE reaches.
    pub referrers: Vec<Referrer>,
}
