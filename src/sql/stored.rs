//! What a repair reads: how a table is stored, and rows with every column that they have.

use super::definition::{family, heads};
use super::lookup::by_keys;
use super::relation::from_stored;
use super::rows::canon_list;
use super::statement::{Bind, Statement, Writer};
use crate::plan::MappingPlan;
use crate::row::Key;
use crate::schema::{Side, StoredColumn};

/// A row for each column: name, type without modifier, type's OID, whether it refuses NULL, whether
/// it is generated, identity ('', 'a' or 'd'), whether it has a default, its sequence, readable,
/// for the whole table whether a unique index of it may be checked late, of a generated column how, its CHECK constraints, whether
/// its collation is not deterministic, and by which operator a unique index says what is equal in it.
pub fn stored_columns(oid: u32) -> Statement {
    let mut writer = Writer::new(&[]);
    writer
        .push(
            "select a.attname::pg_catalog.text as name,
pg_catalog.format_type(a.atttypid, -1) as type_name,
a.atttypid::pg_catalog.int8 as type_oid,
a.attnotnull or t.typnotnull as not_null,
a.attgenerated operator(pg_catalog.<>) '' as generated,
a.attidentity::pg_catalog.text as identity,
a.atthasdef or t.typdefault is not null as has_default,
coalesce(
pg_catalog.pg_get_serial_sequence(a.attrelid::pg_catalog.regclass::pg_catalog.text, a.attname::pg_catalog.text),
(
select pg_catalog.min(s.oid::pg_catalog.regclass::pg_catalog.text collate \"C\")
from pg_catalog.pg_attrdef as f
join pg_catalog.pg_depend as d
on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = f.oid
join pg_catalog.pg_class as s on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
and s.oid = d.refobjid and s.relkind = 'S'
where f.adrelid = a.attrelid and f.adnum = a.attnum
)
) as sequence,
pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'select') as readable,
(
select case
when b.modifier < 4 then null
when b.base in ('pg_catalog.varchar'::pg_catalog.regtype, 'pg_catalog.bpchar'::pg_catalog.regtype)
then b.modifier - 4
when b.base = 'pg_catalog.numeric'::pg_catalog.regtype
then ((b.modifier - 4) >> 16) - ((((b.modifier - 4) & 2047) # 1024) - 1024)
end
from (
select
case when t.typtype = 'd' then t.typbasetype else a.atttypid end as base,
case when t.typtype = 'd' then t.typtypmod else a.atttypmod end as modifier
) as b
) as length,
exists (
select from pg_catalog.pg_index as i where i.indrelid = a.attrelid and not i.indimmediate
) as deferrable,
case when a.attgenerated operator(pg_catalog.<>) '' then (
select pg_catalog.pg_get_expr(f.adbin, f.adrelid)
from pg_catalog.pg_attrdef as f where f.adrelid = a.attrelid and f.adnum = a.attnum
) end as expression,
(
select pg_catalog.string_agg('(' || pg_catalog.pg_get_expr(x.conbin, x.conrelid) || ') is not false', ' and ')
from pg_catalog.pg_constraint as x
where x.conrelid = a.attrelid and x.contype = 'c' and a.attnum = any (x.conkey)
) as checks,
exists (
select from pg_catalog.pg_collation as l where l.oid = a.attcollation and not l.collisdeterministic
) as loose,
(
select pg_catalog.format('operator(%I.%s)', n.nspname, p.oprname)
from pg_catalog.pg_index as i
cross join lateral unnest(i.indkey::pg_catalog.int2[], i.indclass::pg_catalog.oid[])
as k(number, class)
join pg_catalog.pg_opclass as c on c.oid = k.class
join pg_catalog.pg_amop as m on m.amopfamily = c.opcfamily and m.amopstrategy = 3
and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
join pg_catalog.pg_operator as p on p.oid = m.amopopr
join pg_catalog.pg_namespace as n on n.oid = p.oprnamespace
where i.indrelid = a.attrelid and i.indisunique and k.number = a.attnum
order by i.indisprimary desc, i.indexrelid
limit 1
) as equal
from pg_catalog.pg_attribute as a
join pg_catalog.pg_type as t on t.oid = a.atttypid
where a.attnum > 0
and not a.attisdropped
and a.attrelid = ",
        )
        .bind(Bind::int8(i64::from(oid)))
        .push("::pg_catalog.oid\norder by a.attnum");
    writer.finish()
}

/// A row for each foreign key from or to a table or its partitions: which it is in the first place; who
/// refers and to whom, each by schema, name and whether it has partitions; what a DELETE does there, and
/// what an UPDATE; the columns that refer, and those that they refer to; whether some of either are
/// generated; whether the table is who refers, and whether it is referred to.
pub fn stored_links(oid: u32) -> Statement {
    let names = |of: &str, numbers: &str| {
        format!(
            "(
select pg_catalog.array_agg(a.attname::pg_catalog.text order by k.place)
from pg_catalog.unnest(f.{numbers}) with ordinality as k(number, place)
join pg_catalog.pg_attribute as a on a.attrelid = f.{of} and a.attnum = k.number
)"
        )
    };
    let generated = |of: &str, numbers: &str| {
        format!(
            "exists (
select from pg_catalog.pg_attribute as a
where a.attrelid = f.{of} and a.attnum = any (f.{numbers})
and a.attgenerated operator(pg_catalog.<>) ''
)"
        )
    };
    Statement::constant(format!(
        "{},
roots(oid, root) as (
select f.oid, f.oid from pg_catalog.pg_constraint as f where f.contype = 'f' and f.conparentid = 0
union all
select f.oid, r.root from pg_catalog.pg_constraint as f join roots as r on r.oid = f.conparentid
)
select r.root::pg_catalog.int8 as root,
cn.nspname::pg_catalog.text as referrer_schema,
c.relname::pg_catalog.text as referrer_name,
c.relkind = 'p' as referrer_partitioned,
pn.nspname::pg_catalog.text as referenced_schema,
p.relname::pg_catalog.text as referenced_name,
p.relkind = 'p' as referenced_partitioned,
f.confdeltype::pg_catalog.text as on_delete,
f.confupdtype::pg_catalog.text as on_update,
{} as referrer_columns,
{} as referenced_columns,
{} as referrer_generated,
{} as referenced_generated,
{refers} as refers,
{referred} as referred,
f.confmatchtype = 'f' as full_match
from pg_catalog.pg_constraint as f
join roots as r on r.oid = f.oid
join pg_catalog.pg_class as c on c.oid = f.conrelid
join pg_catalog.pg_namespace as cn on cn.oid = c.relnamespace
join pg_catalog.pg_class as p on p.oid = f.confrelid
join pg_catalog.pg_namespace as pn on pn.oid = p.relnamespace
where {refers}
or {referred}
order by f.oid",
        family(oid),
        names("conrelid", "conkey"),
        names("confrelid", "confkey"),
        generated("conrelid", "conkey"),
        generated("confrelid", "confkey"),
        refers = heads("conrelid"),
        referred = heads("confrelid"),
    ))
}

/// Of these sequences, as SQL writes them, a row for each that the role may not read and move.
pub fn unmovable(sequences: &[&str]) -> Statement {
    let mut writer = Writer::new(&[]);
    writer
        .push("select s.name from unnest(")
        .bind(Bind::texts(sequences.iter().map(|name| Some(*name))))
        .push(
            ") as s(name)
where coalesce(
pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(s.name), 'select')
and pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(s.name), 'update'),
false
) is false",
        );
    writer.finish()
}

/// What the role may do to a table: insert, update, delete; make temporary tables; switch triggers
/// off, as a superuser or, where servers know of such grants, by one.
pub fn rights(oid: u32, grants: bool) -> Statement {
    let mut writer = Writer::new(&[]);
    let granted = if grants {
        "pg_catalog.has_parameter_privilege('session_replication_role', 'set')"
    } else {
        "pg_catalog.current_setting('is_superuser') = 'on'"
    };
    writer.push("select ");
    for (right, check) in [
        ("insert", "has_any_column_privilege"),
        ("update", "has_any_column_privilege"),
        ("delete", "has_table_privilege"),
    ] {
        writer
            .push(&format!("pg_catalog.{check}("))
            .bind(Bind::int8(i64::from(oid)))
            .push(&format!("::pg_catalog.oid, '{right}') as \"{right}\",\n"));
    }
    writer.push(&format!(
        "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'temporary') as temporary,\n{granted} as replica"
    ));
    writer.finish()
}

/// The rows of these keys: every pair's canon, then an array of every column of the table as its type
/// writes it.
pub fn stored_rows(
    plan: &MappingPlan,
    side: Side,
    columns: &[StoredColumn],
    keys: &[&Key],
) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    canon_list(&mut writer, plan, side, plan.pairs.len());
    writer.push(", r.stored");
    from_stored(&mut writer, plan, side, columns);
    by_keys(&mut writer, plan, side, keys);
    writer.finish()
}
