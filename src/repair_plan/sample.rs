//! Mappings, tables and rows for unit tests.

use super::change_set::ChangeSet;
use super::draft_facts::DraftFacts;
use super::spool::SpoolWriter;
use crate::plan::{MappingPlan, sample};
use crate::repair::{Operation, RowChange, WritableMapping};
use crate::schema::{
    Builtin, ColumnName, ForeignKey, ForeignKeyEnd, Identity, IndexValueSql, PgType, SchemaName,
    Side, StoredColumn, StoredTable, TableName, UniqueIndex,
};
use crate::sql::Bind;

/// A row as it is read from a server.
pub(super) type SampleRow = Vec<Option<Vec<u8>>>;

/// Returns a plan of the columns `id`, the key, and `v`, both text.
pub(super) fn plan() -> MappingPlan {
    let columns = [("id", Builtin::Text, true), ("v", Builtin::Text, false)];
    sample::same(&columns, &["id"])
}

/// Returns a nullable column of type text.
pub(super) fn column(name: &str) -> StoredColumn {
    StoredColumn {
        name: ColumnName(name.to_owned()),
        type_name: "text".to_owned(),
        pg_type: PgType::Builtin(Builtin::Text),
        length: None,
        not_null: name == "id",
        generated: false,
        identity: Identity::None,
        has_default: false,
        sequence: None,
        readable: true,
        expression: None,
        checks: None,
        loose: false,
        equal: None,
    }
}

/// Returns a table of the columns `id` and `v`.
pub(super) fn stored(oid: u32) -> StoredTable {
    StoredTable {
        oid,
        columns: vec![column("id"), column("v")],
        deferrable: false,
        uniques: Vec::new(),
        parents: Vec::new(),
        referrers: Vec::new(),
    }
}

/// Returns what of a table can be written to the target.
pub(super) fn scope(stored: StoredTable) -> WritableMapping {
    WritableMapping::of(&plan(), Side::Target, stored, Vec::new()).unwrap()
}

/// Returns one end of a foreign key: of `own` to `theirs`.
pub(super) fn link(own: &str, theirs: &str) -> ForeignKey {
    let name = |name: &str| ColumnName(name.to_owned());
    let schema = SchemaName("public".to_owned());
    let end =
        ForeignKeyEnd { table: TableName { schema, name: "t".to_owned() }, partitioned: false };
    ForeignKey {
        root: 7,
        here: end.clone(),
        there: end,
        on_delete: None,
        on_update: None,
        generated: false,
        full: false,
        columns: vec![(name(own), name(theirs))],
    }
}

/// Returns a unique index of one column, whose values only the server can compute if it is opaque.
pub(super) fn unique(column: &str, is_opaque: bool) -> UniqueIndex {
    let value_sql = IndexValueSql {
        value: "hash".to_owned(),
        plain: false,
        coarse: false,
        own: Vec::new(),
        generated: Vec::new(),
    };
    UniqueIndex {
        name: format!("t_{column}"),
        columns: vec![ColumnName(column.to_owned())],
        nulls_alike: false,
        late: false,
        value_sql: is_opaque.then_some(value_sql),
    }
}

/// Returns a set of changes of one operation, which may set `v`.
pub(super) fn change_set(
    (mapping, scope): (usize, &WritableMapping),
    operation: Operation,
    changes: &[RowChange],
    facts: DraftFacts,
) -> ChangeSet {
    let mut spool = spool(operation, changes);
    spool.facts = facts;
    let mut shape = scope.shape(operation, false, |_| false);
    shape.set = spool.set.iter().copied().collect();
    ChangeSet::new(mapping, shape, spool.finish().unwrap())
}

/// Returns the changes of one operation, which may set `v`.
pub(super) fn spool(operation: Operation, changes: &[RowChange]) -> SpoolWriter {
    let mut spool = SpoolWriter::new().unwrap();
    changes.iter().for_each(|change| spool.push(change).unwrap());
    spool.set.extend((operation == Operation::Update).then_some(1));
    spool
}

/// Returns a change from one row of `id` and `v` to another.
pub(super) fn change(old: Option<[&str; 2]>, new: Option<[&str; 2]>) -> RowChange {
    let image = |row: [&str; 2]| row.iter().map(|text| Some((*text).to_owned())).collect();
    RowChange { old: old.map(image), new: new.map(image) }
}

/// Returns a row of `id` and `v` as both sides send it.
pub(super) fn row(id: &str, v: &str) -> SampleRow {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let texts = Bind::texts([Some(id), Some(v)].into_iter()).value;
    vec![bytes(id), bytes(v), Some(texts)]
}
