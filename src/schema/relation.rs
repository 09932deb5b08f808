//! One relation as its catalog describes it: a table, a view or one of the operator's queries.

use super::{ColumnName, ColumnType};

/// The kind of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table. Its indexes cover all partitions.
    Partitioned,
    /// A table that other tables inherit from. Its indexes do not cover the rows of the children.
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
    /// Returns its name for messages.
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
    /// Whether the server guarantees that no row that is read has a NULL in it.
    pub not_null: bool,
    /// Whether the role may read it.
    pub readable: bool,
    /// Whether its order has little correlation with the physical order of rows, by the statistics.
    pub scattered: bool,
    /// How many different values it has, by the statistics.
    pub distinct: Option<u64>,
}

/// One key column of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexColumn {
    /// The column; `None` for an expression.
    pub name: Option<ColumnName>,
    /// Whether the index has the order of the column's own collation and default operators.
    pub plain_order: bool,
}

/// One btree index that is valid and covers every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Whether it is unique, and checked immediately.
    pub unique: bool,
    /// Whether it is the primary key's.
    pub primary: bool,
    /// Its key columns, in order.
    pub columns: Vec<IndexColumn>,
}

/// One relation as its server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its kind.
    pub kind: RelationKind,
    /// Its columns, in the catalog's order, without dropped ones.
    pub columns: Vec<Column>,
    /// Its usable indexes: btree, valid, without a predicate.
    pub indexes: Vec<Index>,
    /// The number of rows by the statistics, if there are any.
    pub estimated_rows: Option<u64>,
    /// Whether row-level security would hide rows from this role.
    pub row_security: bool,
    /// Whether the role may use its schema.
    pub schema_usable: bool,
    /// Whether it is one heap of blocks: an ordinary table without children.
    pub heap: bool,
    /// Whether it may have values that are stored out of line.
    pub large: bool,
    /// Whether it can be read: a materialized view may have no data yet.
    pub populated: bool,
    /// Its OID; `None` for a query.
    pub oid: Option<u32>,
}

impl Relation {
    /// Finds a column by its name.
    pub fn column(&self, name: &ColumnName) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == *name)
    }
}
