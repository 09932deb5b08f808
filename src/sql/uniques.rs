//! Unique indexes and exclusion constraints: what they are made of, and what rows would have in them.
//!
//! Most are plain columns whose texts tell their values apart. Of the others (expressions, a predicate,
//! generated columns, equalities of their own) only the server knows the values, and is asked.

use super::statement::{Bind, Statement, Writer, quoted};
use crate::schema::StoredColumn;

/// Types that have two texts for one value, as a numeric without a scale has: 1.0 is 1.00, a day is 24
/// hours, and what is made of others may be made of such.
const COARSE: [&str; 8] =
    ["float4", "float8", "interval", "jsonb", "anyarray", "anyrange", "anymultirange", "record"];

/// A row for each unique index or exclusion constraint of a table or of some of its partitions: its name,
/// the columns that it is made of, whether NULL is like NULL, whether it may be checked late, whether
/// equal values may get along, whether texts do not tell its values apart; its keys, the hashes of those
/// that have to be equal, the columns that are such keys, its predicate, and generated columns that it is
/// made of.
pub fn stored_uniques(oid: u32) -> Statement {
    // The hash of a number leaves its sign out; texts of equal numbers are one without zeros and points.
    let coarse =
        COARSE.map(|name| format!("pg_catalog.to_regtype('pg_catalog.{name}')")).join(", ");
    Statement::constant(format!(
        "with indexes as (
select i.*, c.relname,
coalesce((pg_catalog.to_jsonb(i) operator(pg_catalog.->>) 'indnullsnotdistinct')::pg_catalog.bool, false) as alike,
array(
select a.attnum from pg_catalog.pg_attribute as a
where a.attrelid = i.indrelid
and a.attnum > 0
and (
a.attnum = any ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])
or (i.indexprs is not null or i.indpred is not null) and exists (
select from pg_catalog.pg_depend as d
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.objid = i.indexrelid
and d.refobjid = i.indrelid
and d.refobjsubid = a.attnum
)
)
) as direct
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
where (i.indisunique or i.indisexclusion)
and (
i.indrelid = {oid}::pg_catalog.oid
or i.indrelid in (select p.relid from pg_catalog.pg_partition_tree({oid}::pg_catalog.oid) as p)
and not exists (select from pg_catalog.pg_inherits as h where h.inhrelid = i.indexrelid)
)
),
keys as (
select i.indexrelid, k.place, o.opcintype,
'(' || pg_catalog.pg_get_indexdef(i.indexrelid, k.place, false) || coalesce(
' collate ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname), ''
) || ')' as key,
coalesce(not l.collisdeterministic, false)
or t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace
or o.opcintype = 'pg_catalog.numeric'::pg_catalog.regtype and coalesce(a.atttypmod, -1) < 0
or o.opcintype in ({coarse}) as own,
not i.indisexclusion or exists (
select from pg_catalog.pg_constraint as x
join pg_catalog.pg_operator as p on p.oid = x.conexclop[k.place] and p.oprname = '='
where x.conindid = i.indexrelid and x.contype = 'x'
) as equal,
t.typtype <> 'p' and exists (
select from pg_catalog.pg_opclass as h
join pg_catalog.pg_am as m on m.oid = h.opcmethod and m.amname = 'hash'
where h.opcintype = o.opcintype and h.opcdefault
) as hashes,
a.attname
from indexes as i
cross join lateral pg_catalog.generate_series(1, i.indnkeyatts::pg_catalog.int4) as k(place)
join pg_catalog.pg_opclass as o on o.oid = i.indclass[k.place - 1]
join pg_catalog.pg_type as t on t.oid = o.opcintype
left join pg_catalog.pg_collation as l on l.oid = i.indcollation[k.place - 1]
left join pg_catalog.pg_namespace as n on n.oid = l.collnamespace
left join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.place - 1]
and a.attnum > 0 and a.attgenerated = ''
)
select i.relname::pg_catalog.text as name,
array(
select a.attname::pg_catalog.text from pg_catalog.pg_attribute as a
where a.attrelid = i.indrelid
and a.attgenerated = ''
and (
a.attnum = any (i.direct)
or exists (
select from pg_catalog.pg_attribute as g
left join pg_catalog.pg_attrdef as f on f.adrelid = g.attrelid and f.adnum = g.attnum
join pg_catalog.pg_depend as d
on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.refobjid = i.indrelid
and d.refobjsubid = a.attnum
and (
d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = f.oid
or d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.objid = i.indrelid and d.objsubid = g.attnum
)
where g.attrelid = i.indrelid and g.attgenerated <> '' and g.attnum = any (i.direct)
)
)
order by a.attnum
) as columns,
i.alike as nulls_alike,
not i.indimmediate as late,
i.indisexclusion as coarse,
i.indexprs is not null or i.indpred is not null or i.alike or i.indisexclusion
or exists (select from keys as k where k.indexrelid = i.indexrelid and k.own)
or exists (
select from pg_catalog.pg_attribute as a
where a.attrelid = i.indrelid and a.attnum = any (i.direct) and a.attgenerated <> ''
) as needs_server,
array(select k.key from keys as k where k.indexrelid = i.indexrelid order by k.place) as keys,
array(
select case when k.hashes then 'pg_catalog.hash_array_extended(array[' || k.key || '], 0)' || case
when k.opcintype in ('pg_catalog.numeric'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)
then ' operator(pg_catalog.#) pg_catalog.hashtextextended(pg_catalog.translate(' || k.key
|| '::pg_catalog.text, ''0.'', '''') collate pg_catalog.\"C\", 0)' else '' end
else 'pg_catalog.hashtextextended(' || k.key || '::pg_catalog.text collate pg_catalog.\"C\", 0)' end
from keys as k where k.indexrelid = i.indexrelid and k.equal order by k.place
) as hashes,
array(
select k.attname::pg_catalog.text from keys as k
where k.indexrelid = i.indexrelid and k.equal and k.attname is not null
order by k.place
) as own,
pg_catalog.pg_get_expr(i.indpred, i.indrelid) as predicate,
array(
select a.attname::pg_catalog.text from pg_catalog.pg_attribute as a
where a.attrelid = i.indrelid and a.attnum = any (i.direct) and a.attgenerated <> ''
) as generated
from indexes as i
order by i.indexrelid"
    ))
}

/// What a row has in an index, as a hash: rows with one hash hold one value, or stand in each other's way
/// otherwise; NULL where nothing can stand in its way.
pub fn index_value(
    keys: &[String],
    hashes: &[String],
    predicate: Option<&str>,
    nulls_alike: bool,
) -> String {
    let mut conditions: Vec<String> =
        predicate.map(|predicate| format!("({predicate})")).into_iter().collect();
    if !nulls_alike {
        conditions
            .push(format!("pg_catalog.num_nulls({}) operator(pg_catalog.=) 0", keys.join(", ")));
    }
    if conditions.is_empty() {
        conditions.push("true".to_owned());
    }
    format!(
        "case when {} then pg_catalog.hash_array_extended(array[{}]::pg_catalog.int8[], 0) end",
        conditions.join(" and "),
        hashes.join(", ")
    )
}

/// The texts of expressions.
pub fn texts(expressions: &[String]) -> Statement {
    let texts: Vec<String> =
        expressions.iter().map(|text| format!("({text})::pg_catalog.text")).collect();
    Statement::constant(format!("select {}", texts.join(", ")))
}

/// What rows have in indexes: a row of hashes for each, or of whatever else is asked of them. `texts` are the rows' values, column by column.
pub fn index_values(
    values: &[&str],
    columns: &[&StoredColumn],
    generated: &[&StoredColumn],
    texts: &[Vec<Option<&str>>],
    rows: usize,
) -> Statement {
    let mut writer = Writer::new(&[]);
    writer.push("select ").push(&values.join(",\n")).push("\nfrom (\nselect t.*");
    for column in generated {
        let expression = column.expression.as_deref().unwrap_or("null");
        writer.push(&format!(",\n({expression}) as {}", quoted(&column.name.0)));
    }
    writer.push("\nfrom (\nselect k.\"pgreconcile place\"");
    for (at, column) in columns.iter().enumerate() {
        let (name, type_name) = (quoted(&column.name.0), &column.type_name);
        writer.push(&format!(",\ncast(k.\"pgreconcile {at}\" as {type_name}) as {name}"));
    }
    // One array more than columns: an index may be made of none.
    writer.push("\nfrom unnest(").bind(Bind::texts(vec![None; rows].into_iter()));
    for texts in texts {
        writer.push(", ").bind(Bind::texts(texts.iter().copied()));
    }
    writer.push(") with ordinality as k(\"pgreconcile row\", ");
    for at in 0..columns.len() {
        writer.push(&format!("\"pgreconcile {at}\", "));
    }
    writer.push("\"pgreconcile place\")\n) as t\n) as t\norder by t.\"pgreconcile place\"");
    writer.finish()
}
