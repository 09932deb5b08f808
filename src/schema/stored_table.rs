//! A table as its catalog describes it for SQL that writes it, in more detail than a comparison needs.

use serde::{Deserialize, Serialize};

use super::{ColumnName, PgType, TableName};

/// Which value an identity column gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It is no identity column.
    None,
    /// The server's, unless an INSERT has OVERRIDING SYSTEM VALUE; an UPDATE cannot set another.
    Always,
    /// The server's, unless an INSERT or UPDATE sets another.
    ByDefault,
}

/// One column of a stored table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type as SQL, without its modifier: a cast to it does not truncate.
    pub type_name: String,
    /// Its type.
    pub pg_type: PgType,
    /// The most characters of a text, or digits before a number's point, if its type limits them.
    pub length: Option<i32>,
    /// Whether it, or its domain, is NOT NULL.
    pub not_null: bool,
    /// Whether it is a generated column.
    pub generated: bool,
    /// Whether it is an identity column.
    pub identity: Identity,
    /// Whether it, or its domain, has a default.
    pub has_default: bool,
    /// The sequence that fills it, as SQL.
    pub sequence: Option<String>,
    /// Whether the role may read it.
    pub readable: bool,
    /// The expression of a generated column.
    pub expression: Option<String>,
    /// The condition of the CHECK constraints on it, as SQL; `None` if there are none.
    pub checks: Option<String>,
    /// Whether its collation is nondeterministic: texts of different bytes may be equal.
    pub loose: bool,
    /// The equality operator of a unique index on it, as SQL.
    pub equal: Option<String>,
}

/// An end of a foreign key: the rows of this table, or of its partitions, without those of tables that
/// inherit from it.
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
    /// Its OID on the topmost table: the same for its copies on partitions.
    pub root: u32,
    /// The table, or the partition of it that has the key.
    pub here: ForeignKeyEnd,
    /// The other table.
    pub there: ForeignKeyEnd,
    /// The action of a DELETE on the rows that refer to the deleted one: `CASCADE`, `SET NULL`,
    /// `SET DEFAULT`; `None` if it is refused.
    pub on_delete: Option<String>,
    /// The action of an UPDATE of the referenced columns.
    pub on_update: Option<String>,
    /// Whether one of its columns here is generated, so that any UPDATE may change it.
    pub generated: bool,
    /// Whether it is `MATCH FULL`: its columns are all NULL or none is.
    pub full: bool,
    /// Columns of the table, each with its counterpart in the other.
    pub columns: Vec<(ColumnName, ColumnName)>,
}

/// A unique index or an exclusion constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueIndex {
    /// Its name.
    pub name: String,
    /// Its columns, and those in its expressions and its predicate.
    pub columns: Vec<ColumnName>,
    /// Whether two NULLs are equal in it.
    pub nulls_alike: bool,
    /// Whether it is checked at the end of a statement, or later, and not with every row.
    pub late: bool,
    /// How the server computes the value of a row in it.
    pub value_sql: Option<IndexValueSql>,
}

/// The value of a row in a unique index, as the server computes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexValueSql {
    /// The value as SQL: a hash, or NULL.
    pub value: String,
    /// Whether the texts of its columns are different for different values: then no query is needed.
    pub plain: bool,
    /// Whether rows with equal hashes may not conflict: an exclusion constraint compares more.
    pub coarse: bool,
    /// Columns that are keys of the index themselves: another value there is another value of the index.
    pub own: Vec<ColumnName>,
    /// Generated columns in it.
    pub generated: Vec<ColumnName>,
}

/// A table as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTable {
    /// Its OID.
    pub oid: u32,
    /// Its columns, in the catalog's order.
    pub columns: Vec<StoredColumn>,
    /// Whether it has a deferrable unique index, which ON CONFLICT cannot use.
    pub deferrable: bool,
    /// Its unique indexes and exclusion constraints.
    pub uniques: Vec<UniqueIndex>,
    /// Its foreign keys.
    pub parents: Vec<ForeignKey>,
    /// The foreign keys that refer to it.
    pub referrers: Vec<ForeignKey>,
}

/// The role's privileges on a table, by the catalog.
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
