//! Queries of the catalogs: relations, their columns, indexes and types; and checks of the spec's SQL by the
//! server alone.
//!
//! They read `pg_catalog` and its privilege functions, never information_schema, which hides columns that
//! the role may not read. Every column of a result is cast to a built-in type.

use super::relation::named;
use super::statement::{Bind, Statement, Writer};
use crate::schema::{ColumnName, SchemaName, Side, TableName};
use crate::spec::{Fragment, Param, Reads};

/// Returns a row for each table that exists, in the order of the names: its index among the names, OID,
/// kind, whether it has children, estimated rows (-1 for unknown), whether row-level security is active,
/// whether the role may use the schema, whether its rows are in a heap, whether it is populated, whether
/// it may have values that are stored out of line.
pub fn relations(names: &[&TableName]) -> Statement {
    let [schemas, names] = name_binds(names.iter().copied());
    Statement::of_file(include_str!("statements/relations.sql"), [schemas, names])
}

/// Returns the parameters for tables' names: schemas and names.
fn name_binds<'n>(names: impl ExactSizeIterator<Item = &'n TableName> + Clone) -> [Bind; 2] {
    [
        Bind::texts(names.clone().map(|name| Some(name.schema.0.as_str()))),
        Bind::texts(names.map(|name| Some(name.name.as_str()))),
    ]
}

/// Writes tables' names as rows with their indexes: `asked(schema, name, place)`.
pub(super) fn push_names<'w, 'p, 'n>(
    writer: &'w mut Writer<'p>,
    names: impl ExactSizeIterator<Item = &'n TableName> + Clone,
) -> &'w mut Writer<'p> {
    let [schemas, names] = name_binds(names);
    writer
        .push("rows from (pg_catalog.unnest(")
        .bind(schemas)
        .push("), pg_catalog.unnest(")
        .bind(names)
        .push(")) with ordinality as asked(schema, name, place)")
}

/// Writes OIDs as rows with their indexes: `asked(oid, place)`, where `oid` is an int8.
pub(super) fn push_oids<'w, 'p>(writer: &'w mut Writer<'p>, oids: &[u32]) -> &'w mut Writer<'p> {
    writer
        .push("pg_catalog.unnest(")
        .bind(Bind::oids(oids))
        .push(") with ordinality as asked(oid, place)")
}

/// Returns the names of relations in a schema, to suggest one for a name that does not exist.
pub fn relation_names(schema: &SchemaName) -> Statement {
    Statement::of_file(include_str!("statements/relation_names.sql"), [Bind::text(&schema.0)])
}

/// Returns a row for each column of each relation, in order: the relation's index, name, type as written,
/// type's OID, modifier, whether no row can have a NULL in it, whether the role may read it, collation ('-'
/// none, 'b' by bytes, 'n' nondeterministic, 'l' any other), whether its order says little about where rows
/// are stored, what a linguistic collation is (provider, locale, version, if indexes were built with that
/// version), and how many values are distinct. A relation is an OID, with whether rows of its children are
/// left out. Columns of the catalogs that came after version 13 are read through `to_jsonb`.
///
/// A NOT NULL is a proof only where the server enforces it for every row that is read: not for rows of a
/// foreign table, not where a child has dropped it (until PostgreSQL 17), not before it is validated
/// (since 18).
///
/// The NOT NULL of a child that is a foreign table is trusted: planners trust it too, so a query for NULLs
/// would leave the child out. A row that violates it fails where it is read.
///
/// The limit keeps the planner from joining the statistics: the server would read those of every column of
/// the database, for each table that is compared.
pub fn relation_columns(relations: &[(u32, bool)]) -> Statement {
    let oids: Vec<u32> = relations.iter().map(|(oid, _)| *oid).collect();
    let only = Bind::bools(relations.iter().map(|(_, only)| *only));
    let binds = [Bind::oids(&oids), only];
    Statement::of_file(include_str!("statements/relation_columns.sql"), binds)
}

/// Returns the histograms of columns' values as texts, in order: a row for each column that was analyzed,
/// with its index among the given ones. A partitioned table's own statistics are those that include its
/// children.
pub fn column_spreads(columns: &[(&TableName, &ColumnName)]) -> Statement {
    let texts = |part: fn(&(&TableName, &ColumnName)) -> String| {
        let list: Vec<String> = columns.iter().map(part).collect();
        Bind::texts(list.iter().map(|text| Some(text.as_str())))
    };
    let binds = [
        texts(|(table, _)| table.schema.0.clone()),
        texts(|(table, _)| table.name.clone()),
        texts(|(_, column)| column.0.clone()),
    ];
    Statement::of_file(include_str!("statements/column_spreads.sql"), binds)
}

/// Returns a row for each key column of each btree index that is valid and covers all rows: index of the
/// relation among the given ones, name of the index, whether it is unique at every moment, whether it is the
/// primary key's, column (NULL for an expression), whether its order is the column's own.
///
/// The offset and the limit keep the server from reading the catalogs whole: it estimates a thousand columns
/// for an index.
pub fn relation_indexes(oids: &[u32]) -> Statement {
    Statement::of_file(include_str!("statements/relation_indexes.sql"), [Bind::oids(oids)])
}

/// Returns a row for each type and every type that it consists of: OID, name, kind, category, element, base
/// type, modifier of a domain.
pub fn type_shapes(oids: &[u32]) -> Statement {
    Statement::of_file(include_str!("statements/type_shapes.sql"), [Bind::oids(oids)])
}

/// Returns the type of an expression of the spec over a side's rows: OID, and the type as written. The
/// expression is in a scalar subquery of its own, which returns one value or an error.
pub fn expression_type(
    side: Side,
    reads: &Reads,
    fragment: &Fragment,
    params: &[Param],
) -> Statement {
    let mut writer = Writer::new(params);
    writer.push("select t.t::pg_catalog.oid::pg_catalog.int8, t.t::pg_catalog.text\nfrom (\nselect pg_catalog.pg_typeof((\nselect ");
    writer.fragment(fragment).push("\nfrom ");
    named(&mut writer, reads, side);
    writer.push("\nwhere false\n)) as t\n) as t");
    writer.finish()
}

/// Explains an expression of the spec over these columns: the server returns it as it parsed it, one line
/// of a plan for each row, and runs nothing. `offset 0` keeps the side's name before every column.
pub fn expression_plan(
    side: Side,
    reads: &Reads,
    columns: &[&ColumnName],
    fragment: &Fragment,
    params: &[Param],
) -> Statement {
    let mut writer = Writer::new(params);
    writer.push("explain (verbose, costs off)\nselect ");
    writer.fragment(fragment).push("\nfrom (\nselect ");
    writer.list(", ", columns, |writer, name| {
        writer.push(&format!("{side}.{}", super::statement::quoted(&name.0)));
    });
    writer.push("\nfrom ");
    named(&mut writer, reads, side);
    writer.push("\noffset 0\n) as ").push(side.name());
    writer.finish()
}

/// Parses a parameter's value as its declared type.
pub fn param_value(param: &Param) -> Statement {
    let mut writer = Writer::new(std::slice::from_ref(param));
    writer.push("select ").param(&param.name).push(" is null");
    writer.finish()
}

/// Parses a query of the spec by itself; it returns no row.
pub fn query_check(query: &Fragment, params: &[Param]) -> Statement {
    let mut writer = Writer::new(params);
    writer.push("select 1\nfrom ").fragment(query).push(" as q\nwhere false");
    writer.finish()
}

/// Returns the names of a query's columns, in order, one for each row; the query itself is not run.
pub fn query_columns(query: &Fragment, params: &[Param]) -> Statement {
    let mut writer = Writer::new(params);
    writer.push("select pg_catalog.json_object_keys(pg_catalog.row_to_json(x))\nfrom ");
    one_null_row(&mut writer, query);
    writer.finish()
}

/// Returns the types of a query's columns, in order: OID and type as written, one for each row. Each row
/// also has the OIDs of all relations that the server has locked for the statement: all relations that the
/// query and its views read, whatever the planner then does.
pub fn query_column_types(query: &Fragment, params: &[Param], names: &[String]) -> Statement {
    let mut writer = Writer::new(params);
    writer.push(
        "select t.t::pg_catalog.oid::pg_catalog.int8,
t.t::pg_catalog.text,
(
select pg_catalog.array_agg(l.relation::pg_catalog.int8)
from pg_catalog.pg_locks as l
where l.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()
and l.locktype operator(pg_catalog.=) 'relation'
)
from ",
    );
    one_null_row(&mut writer, query);
    writer.push(",\npg_catalog.unnest(array[");
    writer.list(", ", names, |writer, name| {
        let column = super::statement::quoted(name);
        writer.push(&format!("pg_catalog.pg_typeof(x.{column})"));
    });
    writer.push("]) with ordinality as t(t, place)\norder by t.place");
    writer.finish()
}

/// Writes a row that has the query's columns, all NULL: the join on false is never run.
fn one_null_row(writer: &mut Writer<'_>, query: &Fragment) {
    writer
        .push("(\nselect s.*\nfrom (select 1) as one\nleft join ")
        .fragment(query)
        .push(" as s on false\n) as x");
}
