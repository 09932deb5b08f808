//! What a catalog is asked about a relation, and the operator's SQL put to the server alone.
//!
//! `pg_catalog` and its privilege functions, never information_schema, which hides columns that the
//! role may not read. Every column of every answer is cast to a built-in type.

use super::relation::named;
use super::statement::{Bind, Statement, Writer};
use crate::schema::{Builtin, ColumnName, SchemaName, Side, TableName};
use crate::spec::{Fragment, Param, Reads};

/// A row for each table that there is, in the order in which they are named: its place among the names,
/// OID, kind, whether it has children, estimated rows (-1 for unknown), whether row-level security is
/// active, whether the schema may be used, whether its rows lie in a heap, whether it has been populated,
/// whether it may hold values that are stored out of line.
pub fn relations(names: &[&TableName]) -> Statement {
    let mut writer = Writer::new(&[]);
    writer.push(
        "select asked.place,
c.oid::pg_catalog.int8 as oid,
c.relkind::pg_catalog.text as kind,
exists (select from pg_catalog.pg_inherits as i where i.inhparent = c.oid) as has_children,
case when c.relkind = 'p' then (
select pg_catalog.sum(greatest(leaf.reltuples, 0))
from pg_catalog.pg_partition_tree(c.oid) as t
join pg_catalog.pg_class as leaf on leaf.oid = t.relid
where t.isleaf
) else c.reltuples end::pg_catalog.float8 as estimated_rows,
pg_catalog.row_security_active(c.oid) as row_security,
pg_catalog.has_schema_privilege(n.oid, 'usage') as schema_usable,
coalesce(m.amname = 'heap', false) as heap,
c.relispopulated as populated,
case when c.relkind in ('r', 'm') then coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) > 0
else true
end as large
from ",
    );
    asked_names(&mut writer, names.iter().copied()).push(
        "
join pg_catalog.pg_class as c on c.relname = asked.name
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = asked.schema
left join pg_catalog.pg_am as m on m.oid = c.relam
order by asked.place",
    );
    writer.finish()
}

/// Writes tables' names as rows with their places: `asked(schema, name, place)`.
pub(super) fn asked_names<'w, 'p, 'n>(
    writer: &'w mut Writer<'p>,
    names: impl ExactSizeIterator<Item = &'n TableName> + Clone,
) -> &'w mut Writer<'p> {
    writer
        .push("rows from (pg_catalog.unnest(")
        .bind(Bind::texts(names.clone().map(|name| Some(name.schema.0.as_str()))))
        .push("), pg_catalog.unnest(")
        .bind(Bind::texts(names.map(|name| Some(name.name.as_str()))))
        .push(")) with ordinality as asked(schema, name, place)")
}

/// Writes OIDs as rows with their places: `asked(oid, place)`, where `oid` is an int8.
pub(super) fn asked_oids<'w, 'p>(writer: &'w mut Writer<'p>, oids: &[u32]) -> &'w mut Writer<'p> {
    let oids: Vec<[u8; 8]> = oids.iter().map(|oid| i64::from(*oid).to_be_bytes()).collect();
    writer
        .push("pg_catalog.unnest(")
        .bind(Bind::array(Builtin::Int8, oids.iter().map(<[u8; 8]>::as_slice)))
        .push(") with ordinality as asked(oid, place)")
}

/// Names of relations in a schema, to find what was meant by one that is not there.
pub fn relation_names(schema: &SchemaName) -> Statement {
    let mut writer = Writer::new(&[]);
    writer
        .push(
            "select c.relname::pg_catalog.text as name
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f')
and n.nspname = ",
        )
        .bind(Bind::text(&schema.0))
        .push("\norder by 1\nlimit 10000");
    writer.finish()
}

/// A row for each column of each relation, which is an OID with whether the children's rows are left out;
/// in order: the relation's place, name, type as written, type's OID, modifier, whether no row can have a
/// NULL in it, readable, collation ('-' none, 'b' by bytes, 'n' nondeterministic, 'l' any other), whether
/// its order says little about where rows lie, what a linguistic collation is: provider, locale, version,
/// if indexes were built with that version, and how many values are distinct. Columns of the catalogs that
/// came later than 13 are read through `to_jsonb`.
///
/// A NOT NULL is a proof only where the server keeps it for every row that is read: not for a foreign
/// table's rows, not where a child has dropped it (until PostgreSQL 17), not before it is validated
/// (since 18).
///
/// A child that is a foreign table is believed: planners believe it too, so asked for NULLs they would
/// leave it out. A row that proves them wrong fails where it is read.
///
/// The limit keeps the statistics from being joined: the server would go through those of every column
/// of the database, for each of its tables that is compared.
pub fn relation_columns(relations: &[(u32, bool)]) -> Statement {
    let mut writer = Writer::new(&[]);
    let oids: Vec<[u8; 8]> =
        relations.iter().map(|(oid, _)| i64::from(*oid).to_be_bytes()).collect();
    let alone: Vec<[u8; 1]> = relations.iter().map(|(_, only)| [u8::from(*only)]).collect();
    writer
        .push(
            "with recursive asked as (
select a.oid::pg_catalog.oid as oid, a.alone, a.place
from rows from (pg_catalog.unnest(",
        )
        .bind(Bind::array(Builtin::Int8, oids.iter().map(<[u8; 8]>::as_slice)))
        .push("), pg_catalog.unnest(")
        .bind(Bind::array(Builtin::Bool, alone.iter().map(<[u8; 1]>::as_slice)))
        .push(
            ")) with ordinality as a(oid, alone, place)
),
read as (
select asked.place, asked.alone, asked.oid
from asked
union
select read.place, read.alone, i.inhrelid
from read
join pg_catalog.pg_inherits as i on i.inhparent = read.oid and not read.alone
),
nullable as materialized (
select read.place, b.attname
from read
join pg_catalog.pg_attribute as b on b.attrelid = read.oid and b.attnum > 0
where not b.attnotnull
or exists (
select
from pg_catalog.pg_constraint as k
where k.conrelid = read.oid
and k.contype = 'n'
and k.conkey = array[b.attnum]
and not k.convalidated
)
),
here as materialized (
select d.datcollate,
coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') as provider,
case
when pg_catalog.to_jsonb(d) ->> 'datlocprovider' = 'i' then
'i ' || coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale')
|| ' ' || coalesce(pg_catalog.to_jsonb(d) ->> 'daticurules', '') || ' ' || (
select o.collversion
from pg_catalog.pg_collation as o
where o.collprovider = 'i'
and o.collversion = pg_catalog.to_jsonb(d) ->> 'datcollversion'
and o.collversion = pg_catalog.pg_collation_actual_version(o.oid)
limit 1
)
else
'c ' || d.datcollate || '  ' || (
select o.collversion
from pg_catalog.pg_collation as o
where o.collprovider = 'c'
and o.collversion = coalesce(pg_catalog.to_jsonb(d) ->> 'datcollversion', o.collversion)
and o.collversion = pg_catalog.pg_collation_actual_version(o.oid)
limit 1
)
end as collation
from pg_catalog.pg_database as d
where d.datname = pg_catalog.current_database()
)
select asked.place,
a.attname::pg_catalog.text as name,
pg_catalog.format_type(a.atttypid, a.atttypmod) as type_name,
a.atttypid::pg_catalog.int8 as type_oid,
a.atttypmod as modifier,
a.attnotnull and c.relkind <> 'f' and (asked.place, a.attname) not in (
select u.place, u.attname
from nullable as u
) as not_null,
pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'select') as readable,
case
when a.attcollation = 0 then '-'
when not l.collisdeterministic then 'n'
when l.collprovider = 'b' or l.collprovider = 'c' and l.collcollate in ('C', 'POSIX') then 'b'
when l.collprovider = 'd' and here.provider = 'b' then 'b'
when l.collprovider = 'd' and here.provider = 'c' and here.datcollate in ('C', 'POSIX') then 'b'
else 'l'
end as collation,
coalesce(pg_catalog.abs(s.correlation) < 0.5, false) as scattered,
case
when l.collprovider in ('c', 'i') then
l.collprovider::pg_catalog.text || ' '
|| coalesce(pg_catalog.to_jsonb(l) ->> 'colllocale', pg_catalog.to_jsonb(l) ->> 'colliculocale', l.collcollate::pg_catalog.text)
|| ' ' || coalesce(pg_catalog.to_jsonb(l) ->> 'collicurules', '')
|| ' ' || case when l.collversion = pg_catalog.pg_collation_actual_version(l.oid) then l.collversion end
when l.collprovider = 'd' then here.collation
end as collation_id,
case when s.n_distinct < 0 then -s.n_distinct * greatest(c.reltuples, 0) else s.n_distinct end::pg_catalog.float8 as distinct_values
from asked
cross join here
join pg_catalog.pg_class as c on c.oid = asked.oid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join lateral (
select s.correlation, s.n_distinct
from pg_catalog.pg_stats as s
where s.schemaname = n.nspname
and s.tablename = c.relname
and s.attname = a.attname
and not s.inherited
limit 1
) as s on true
left join pg_catalog.pg_collation as l on l.oid = a.attcollation
order by asked.place, a.attnum",
        );
    writer.finish()
}

/// The histograms of columns' values as texts, in order: a row for each that was analyzed, with the column's
/// place among those that are named.
pub fn column_spreads(columns: &[(&TableName, &ColumnName)]) -> Statement {
    let mut writer = Writer::new(&[]);
    let list = |part: &dyn Fn(&(&TableName, &ColumnName)) -> String| -> Vec<String> {
        columns.iter().map(part).collect()
    };
    let parts = [
        list(&|(table, _)| table.schema.0.clone()),
        list(&|(table, _)| table.name.clone()),
        list(&|(_, column)| column.0.clone()),
    ];
    writer.push("select asked.place, s.bounds\nfrom rows from (");
    writer.list(", ", parts, |writer, part| {
        writer.push("pg_catalog.unnest(");
        writer.bind(Bind::texts(part.iter().map(|text| Some(text.as_str())))).push(")");
    });
    // A partitioned table's own statistics are those with its children.
    writer.push(
        ") with ordinality as asked(schema, name, attribute, place)
cross join lateral (
select s.histogram_bounds::pg_catalog.text::pg_catalog.text[] as bounds
from pg_catalog.pg_stats as s
where s.schemaname = asked.schema
and s.tablename = asked.name
and s.attname = asked.attribute
order by s.inherited desc
limit 1
) as s
order by asked.place",
    );
    writer.finish()
}

/// A row for each key column of each btree index that is valid and covers all rows: place of the relation
/// among those that are named, index, whether it is unique at every moment, whether it is the primary
/// key's, column (NULL for an expression), whether its order is the column's own. The offset and the limit
/// keep the server from reading the catalogs whole: it takes an index to have a thousand columns.
pub fn relation_indexes(oids: &[u32]) -> Statement {
    let mut writer = Writer::new(&[]);
    writer.push(
        "select asked.place,
c.relname::pg_catalog.text as name,
i.indisunique and i.indimmediate as is_unique,
i.indisprimary as is_primary,
a.attname::pg_catalog.text as column_name,
o.opcdefault and i.indoption[k.place - 1] = 0
and i.indcollation[k.place - 1] = coalesce(a.attcollation, 0) as plain_order
from ",
    );
    asked_oids(&mut writer, oids).push(
        "
cross join lateral (
select i.*
from pg_catalog.pg_index as i
where i.indrelid = asked.oid::pg_catalog.oid
offset 0
) as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_am as m on m.oid = c.relam
cross join pg_catalog.generate_series(1, i.indnkeyatts) as k(place)
join pg_catalog.pg_opclass as o on o.oid = i.indclass[k.place - 1]
left join lateral (
select a.attname, a.attcollation
from pg_catalog.pg_attribute as a
where a.attrelid = i.indrelid
and a.attnum = i.indkey[k.place - 1]
and a.attnum > 0
limit 1
) as a on true
where m.amname = 'btree'
and i.indisvalid
and i.indisready
and i.indpred is null
order by asked.place, i.indexrelid, k.place",
    );
    writer.finish()
}

/// A row for each type and every type it is made of: OID, name, kind, category, element, base type,
/// modifier of a domain.
pub fn type_shapes(oids: &[u32]) -> Statement {
    let mut writer = Writer::new(&[]);
    let oids: Vec<[u8; 8]> = oids.iter().map(|oid| i64::from(*oid).to_be_bytes()).collect();
    let columns = |t: &str| {
        ["oid", "typname", "typtype", "typcategory", "typelem", "typbasetype", "typtypmod"]
            .map(|column| format!("{t}.{column}"))
            .join(", ")
    };
    writer
        .push("with recursive shape as (\nselect ")
        .push(&columns("t"))
        .push("\nfrom pg_catalog.pg_type as t\nwhere t.oid::pg_catalog.int8 = any(")
        .bind(Bind::array(Builtin::Int8, oids.iter().map(<[u8; 8]>::as_slice)))
        .push(")\nunion\nselect ")
        .push(&columns("t"))
        .push(
            "\nfrom shape as s
join pg_catalog.pg_type as t on t.oid in (s.typelem, s.typbasetype)
)
select s.oid::pg_catalog.int8 as oid, s.typname::pg_catalog.text as name,
s.typtype::pg_catalog.text as kind, s.typcategory::pg_catalog.text as category,
s.typelem::pg_catalog.int8 as element, s.typbasetype::pg_catalog.int8 as base, s.typtypmod as modifier
from shape as s",
        );
    writer.finish()
}

/// The type of an expression of the operator's over a side's rows: OID, and the type as written. It
/// stands in a scalar subquery of its own, which gives one value or an error.
pub fn expression_type(
    side: Side,
    reads: &Reads,
    fragment: &Fragment,
    params: &[Param],
) -> Statement {
    let mut writer = Writer::new(params);
    writer.push("select t.t::pg_catalog.oid::pg_catalog.int8 as type_oid, t.t::pg_catalog.text as type_name\nfrom (\nselect pg_catalog.pg_typeof((\nselect ");
    writer.fragment(fragment).push("\nfrom ");
    named(&mut writer, reads, side);
    writer.push("\nwhere false\n)) as t\n) as t");
    writer.finish()
}

/// An expression of the operator's over these columns as the server has understood it, one line of a
/// plan a row; nothing is run. The fence of `offset 0` keeps the side's own name before every column.
pub fn expression_told(
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

/// A parameter's value, read as its declared type.
pub fn param_value(param: &Param) -> Statement {
    let mut writer = Writer::new(std::slice::from_ref(param));
    writer.push("select ").param(&param.name).push(" is null");
    writer.finish()
}

/// A query of the operator's by itself; no row is made.
pub fn query_stands_alone(query: &Fragment, params: &[Param]) -> Statement {
    let mut writer = Writer::new(params);
    writer.push("select 1\nfrom ").fragment(query).push(" as q\nwhere false");
    writer.finish()
}

/// The names of a query's columns, in order, one a row; no row of the query is made.
pub fn query_columns(query: &Fragment, params: &[Param]) -> Statement {
    let mut writer = Writer::new(params);
    writer.push("select pg_catalog.json_object_keys(pg_catalog.row_to_json(x)) as name\nfrom ");
    one_null_row(&mut writer, query);
    writer.finish()
}

/// The types of a query's columns, in order: OID and type as written, one a row. Each row also has the
/// OIDs of all relations that the server has locked for the statement, that is all that the query reads:
/// also what its views read, whatever the planner then makes of it.
pub fn query_column_types(query: &Fragment, params: &[Param], names: &[String]) -> Statement {
    let mut writer = Writer::new(params);
    writer.push(
        "select t.t::pg_catalog.oid::pg_catalog.int8 as type_oid,
t.t::pg_catalog.text as type_name,
(
select pg_catalog.array_agg(l.relation::pg_catalog.int8)
from pg_catalog.pg_locks as l
where l.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()
and l.locktype operator(pg_catalog.=) 'relation'
) as locked
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

/// A row that has the query's columns, all NULL: the join on false is never run.
fn one_null_row(writer: &mut Writer<'_>, query: &Fragment) {
    writer
        .push("(\nselect s.*\nfrom (select 1) as one\nleft join ")
        .fragment(query)
        .push(" as s on false\n) as x");
}
