//! The types that describe both sides: names, column types, relations, tables as they are stored.
//!
//! Nothing here queries a server: `pg` makes these values, `plan` and `repair` read them.

mod instance;
mod name;
mod pg_type;
mod relation;
mod sequence;
mod server;
mod shape;
mod side;
mod stored_table;

pub use instance::{Instance, WalEnd};
pub use name::{ColumnName, NameError, SchemaName, TableName};
pub use pg_type::{Builtin, Collation, ColumnType, PgType};
pub use relation::{Column, Index, IndexColumn, Relation, RelationKind};
pub use sequence::{Numerals, SequenceLink};
pub use server::{DigestTrust, Server};
pub use shape::{Shape, ShapeColumn, ShapeRelation};
pub use side::{BySide, Side};
pub use stored_table::{
    ForeignKey, ForeignKeyEnd, Identity, IndexValueSql, StoredColumn, StoredTable, TablePrivileges,
    UniqueIndex,
};
