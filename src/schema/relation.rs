//! What a catalog says of one relation: a table, a view or an operator's query.

use super::{ColumnName, ColumnType};

/// What kind of thing a side reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table; its indexes cover all partitions.
    Partitioned,
    /// A table other tables inherit from: no index covers the children's rows.
    InheritanceParent,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    Foreign,
    /// A query written in the spec.
    Query,
}

impl RelationKind {
    /// The words for it in messages.
    pub fn name(self) -> &'static str {
        match self {
            RelationKind::Table => "table",
            RelationKind::Partitioned => "partitioned table",
            RelationKind::InheritanceParent => "inheritance parent",
            RelationKind::View => "view",
            RelationKind::MaterializedView => "materialized view",
            RelationKind::Foreign => "foreign table",
            RelationKind::Query => "query",
        }
    }
}

/// One column that can be selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: ColumnName,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether the server keeps NULLs out of it in every row that is read.
    pub not_null: bool,
    /// Whether the role may read it.
    pub readable: bool,
    /// Whether its order says little about where rows lie, by the statistics.
    pub scattered: bool,
    /// How many different values it has, by the statistics.
    pub distinct: Option<u64>,
}

/// One key column of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexColumn {
    /// The column, or nothing for an expression.
    pub name: Option<ColumnName>,
    /// Whether the index orders it as the column's own collation and default operators do.
    pub plain_order: bool,
}

/// One btree index that is valid and covers every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Whether it proves uniqueness at every moment: unique and immediate.
    pub unique: bool,
    /// Whether it is the primary key's.
    pub primary: bool,
    /// Its key columns, in order.
    pub columns: Vec<IndexColumn>,
}

/// One relation as its server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// What it is.
    pub kind: RelationKind,
    /// Its columns, in the catalog's order, dropped ones left out.
    pub columns: Vec<Column>,
    /// Its usable indexes: btree, valid, without a predicate.
    pub indexes: Vec<Index>,
    /// Rows by the statistics, where there are any.
    pub estimated_rows: Option<u64>,
    /// Whether row-level security would hide rows from this role.
    pub row_security: bool,
    /// Whether the role may use the schema it stands in.
    pub schema_usable: bool,
    /// Whether it is one heap of blocks: an ordinary table without children.
    pub heap: bool,
    /// Whether it may hold values that are stored out of line.
    pub large: bool,
    /// Whether it can be read: a materialized view may have no data yet.
    pub populated: bool,
    /// Identifies the relation within its database; nothing for a query.
    pub oid: Option<u32>,
}

impl Relation {
    /// The column of this name.
    pub fn column(&self, name: &ColumnName) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == *name)
    }
}
