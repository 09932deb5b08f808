//! What a catalog says of a table that somebody means to write: more than a comparison needs.

use serde::{Deserialize, Serialize};

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
    /// The most characters of a text, or digits before a number's point, where its type limits them.
    pub length: Option<i32>,
    /// Whether it, or its domain, refuses NULL.
    pub not_null: bool,
    /// Whether the server computes it from the others.
    pub generated: bool,
    /// Whether it is an identity column.
    pub identity: Identity,
    /// Whether it, or its domain, has a default.
    pub has_default: bool,
    /// The sequence that fills it in, as SQL writes it.
    pub sequence: Option<String>,
    /// Whether the role may read it.
    pub readable: bool,
    /// How the server computes it, if it is generated.
    pub expression: Option<String>,
    /// Whether a row passes the CHECK constraints that look at it, as SQL; nothing if none does.
    pub checks: Option<String>,
    /// Whether its collation is not deterministic: texts of different bytes may be equal.
    pub loose: bool,
    /// The operator by which a unique index of the table says what is equal in it, as SQL.
    pub equal: Option<String>,
}

/// An end of a foreign key: the rows of this table, or of its partitions. Those of tables that inherit
/// from it are none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKeyEnd {
    /// The table.
    pub table: TableName,
    /// Whether it has partitions.
    pub partitioned: bool,
}

/// A foreign key between the table and another, or itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Identifies it, whichever partition it is seen from.
    pub root: u32,
    /// The table, or the partition of it that the key is of.
    pub here: ForeignKeyEnd,
    /// The other table.
    pub there: ForeignKeyEnd,
    /// What a DELETE of a row does to those that refer to it, if it does more than refuse: `CASCADE`,
    /// `SET NULL`, `SET DEFAULT`.
    pub on_delete: Option<String>,
    /// The same of an UPDATE that changes what they refer to.
    pub on_update: Option<String>,
    /// Whether one of its columns here is generated: any UPDATE may change it.
    pub generated: bool,
    /// Whether its columns have to be all NULL or all not (`MATCH FULL`).
    pub full: bool,
    /// Columns of the table, each with its counterpart in the other.
    pub columns: Vec<(ColumnName, ColumnName)>,
}

/// A unique index or an exclusion constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueIndex {
    /// Its name.
    pub name: String,
    /// Its columns, and those that its expressions and its predicate are made of.
    pub columns: Vec<ColumnName>,
    /// Whether NULL is like NULL to it.
    pub nulls_alike: bool,
    /// Whether it is checked at the end of a statement, or later; the others are with every row.
    pub late: bool,
    /// How its server tells what a row has in it.
    pub told: Option<IndexValue>,
}

/// What the server knows of a unique index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexValue {
    /// What a row has in it, as SQL: a hash, or NULL.
    pub value: String,
    /// Whether texts of its columns tell its values apart, too: then the server need not be asked.
    pub plain: bool,
    /// Whether rows of one hash may get along: an exclusion constraint compares more than it.
    pub coarse: bool,
    /// Columns that are keys themselves: another value there is another value of the index.
    pub own: Vec<ColumnName>,
    /// Generated columns that it is made of.
    pub generated: Vec<ColumnName>,
}

/// A table as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTable {
    /// Identifies it within its database.
    pub oid: u32,
    /// Its columns, in the catalog's order.
    pub columns: Vec<StoredColumn>,
    /// Whether it has a unique index that may be checked late: no INSERT can step aside there.
    pub deferrable: bool,
    /// Its unique indexes.
    pub uniques: Vec<UniqueIndex>,
    /// The tables that its foreign keys refer to.
    pub parents: Vec<ForeignKey>,
    /// The tables that refer to it.
    pub referrers: Vec<ForeignKey>,
}

/// What the role may do to a table, by the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePrivileges {
    /// Whether it may insert.
    pub insert: bool,
    /// Whether it may update, or lock a row.
    pub update: bool,
    /// Whether it may delete.
    pub delete: bool,
    /// Whether it may make temporary tables in the database.
    pub temporary: bool,
    /// Whether it may switch triggers off.
    pub replica: bool,
}
