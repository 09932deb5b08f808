//! The identity of what a side reads, queried repeatedly while it is read.
//!
//! A view's definition says which relations it reads, and so on for views among them. A query has no
//! definition: it reads the relations that the server locks for it. A materialized view has rows of its
//! own, so the relations below it do not matter.

use super::access::{push_names, push_oids};
use super::server::{INSTANCE, WAL_FILE};
use super::statement::{Bind, Statement, Writer};
use crate::schema::{SchemaName, TableName};

/// The partitions and children of `c` on all levels: their number, and a hash of their OIDs.
const PARTS: &str = "left join lateral (
with recursive part as (
select i.inhrelid
from pg_catalog.pg_inherits as i
where i.inhparent = c.oid
union
select i.inhrelid
from part
join pg_catalog.pg_inherits as i on i.inhparent = part.inhrelid
)
select pg_catalog.count(*) as parts,
pg_catalog.md5(pg_catalog.string_agg(inhrelid::pg_catalog.text, ' ' order by inhrelid)) as which
from part
) as p on true
";

/// Returns the expression for the server and the database at this moment, as one row `here`: facts that
/// do not depend on a relation are read once.
fn here() -> String {
    format!(
        "here(version, datname, oid, datcollate, standby, system, file, started, flushed, collation_version)
as materialized (
select pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
d.datname,
d.oid,
d.datcollate,
pg_catalog.pg_is_in_recovery(),
case when pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
then (select s.system_identifier::pg_catalog.text from pg_catalog.pg_control_system() as s)
end,
{WAL_FILE},
{INSTANCE},
coalesce(
pg_catalog.pg_collation_actual_version('pg_catalog.\"default\"'::pg_catalog.regcollation),
case when d.datcollate not in ('C', 'POSIX') then (
select pg_catalog.pg_collation_actual_version(o.oid)
from pg_catalog.pg_collation as o
where o.collprovider = 'c'
and o.collcollate = d.datcollate
limit 1
) end
)
from pg_catalog.pg_database as d
where d.datname = pg_catalog.current_database()
)"
    )
}

/// The columns of `c` in the database `d`, as JSON.
const COLUMNS: &str = "left join lateral (
select pg_catalog.json_agg(pg_catalog.json_build_object(
'name', a.attname,
'number', a.attnum,
'type_name', pg_catalog.format_type(a.atttypid, a.atttypmod),
'collation', case when l.oid is not null then pg_catalog.concat_ws(' ',
l.collname,
case l.collprovider when 'i' then 'icu' when 'c' then 'libc' when 'b' then 'builtin' end,
coalesce(pg_catalog.to_jsonb(l) ->> 'colllocale', pg_catalog.to_jsonb(l) ->> 'colliculocale', l.collcollate::pg_catalog.text),
pg_catalog.to_jsonb(l) ->> 'collicurules',
case when not l.collisdeterministic then 'nondeterministic' end
) end,
'collation_version', case
when a.attcollation = 0 then null
when a.attcollation = 'pg_catalog.\"default\"'::pg_catalog.regcollation then d.collation_version
else pg_catalog.pg_collation_actual_version(a.attcollation)
end
) order by a.attnum) as columns
from pg_catalog.pg_attribute as a
left join pg_catalog.pg_collation as l on l.oid = a.attcollation
where a.attrelid = c.oid
and a.attnum > 0
and not a.attisdropped
) as a on ";

/// Returns a row for each entry, in order, with a name or without: its index, version, database, its OID,
/// whether the server is a standby, the cluster's identifier where the role may read it, and for a primary
/// the name of the file that it writes to, which begins with the timeline. Then for the relation, if one is
/// named and exists: OID, file, number of partitions and children on all levels, a hash of them, its
/// columns, and whether it is a view; and for the server again, its start and WAL position.
pub fn shapes(tables: &[Option<&TableName>]) -> Statement {
    let nothing = TableName { schema: SchemaName(String::new()), name: String::new() };
    let mut writer = Writer::new(&[]);
    writer.push("with ").push(&here()).push(
        "
select asked.place,
d.version,
d.datname::pg_catalog.text,
d.oid::pg_catalog.int8,
d.standby,
d.system,
d.file,
c.oid::pg_catalog.int8,
pg_catalog.pg_relation_filenode(c.oid)::pg_catalog.int8,
p.parts,
p.which,
a.columns::pg_catalog.text,
coalesce(c.relkind = 'v', false),
d.started,
d.flushed
from here as d
cross join ",
    );
    push_names(&mut writer, tables.iter().map(|table| table.unwrap_or(&nothing)))
        .push(
            "
left join lateral (
select c.oid, c.relkind
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = asked.schema
and c.relname = asked.name
) as c on true
",
        )
        .push(PARTS)
        .push(COLUMNS)
        .push("true\norder by asked.place");
    writer.finish()
}

/// Returns the relations that each of some views reads, the view itself included: the view's index, name,
/// OID, a hash of the definition if it is a view, number of partitions and children on all levels, a hash of
/// them. Without columns: PostgreSQL refuses changes to columns that a view reads.
pub fn read_by_views(views: &[u32]) -> Statement {
    let mut writer = Writer::new(&[]);
    writer.push("with recursive ").push(&here()).push(",\nreached as (\nselect asked.place, ");
    writer.push("asked.oid::pg_catalog.oid as oid\nfrom ");
    push_oids(&mut writer, views).push(
        "
union
select reached.place, e.refobjid
from reached
join pg_catalog.pg_class as v on v.oid = reached.oid
join pg_catalog.pg_rewrite as w on w.ev_class = v.oid
join pg_catalog.pg_depend as e on e.objid = w.oid
where v.relkind = 'v'
and w.rulename = '_RETURN'
and e.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
and e.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
)
",
    );
    relations(writer, "false")
}

/// Returns the same for the relations that each of some queries reads, with columns. These are the relations
/// that the server locks for it, without system relations, indexes, and partitions of other relations among
/// them.
pub fn read_by_queries(locked: &[&[i64]]) -> Statement {
    let mut writer = Writer::new(&[]);
    let places = (1_i64..).zip(locked).flat_map(|(place, oids)| oids.iter().map(move |_| place));
    let oids = locked.iter().flat_map(|oids| *oids).copied();
    writer
        .push("with ")
        .push(&here())
        .push(",\nlocked as (\nselect l.place, l.oid::pg_catalog.oid as oid\nfrom rows from (")
        .push("pg_catalog.unnest(")
        .bind(Bind::int8s(places))
        .push("), pg_catalog.unnest(")
        .bind(Bind::int8s(oids))
        .push(
            ")) as l(place, oid)
where l.oid >= 16384
),
reached as (
select l.place, l.oid
from locked as l
where not exists (
select
from pg_catalog.pg_inherits as i
join locked as parent on parent.oid = i.inhparent and parent.place = l.place
where i.inhrelid = l.oid
)
)
",
        );
    relations(writer, "true")
}

/// Writes the result for the relations in `reached`. Positions in the statement are removed from a
/// definition, so that one that is created again with the same text has the same hash.
fn relations(mut writer: Writer<'_>, with_columns: &str) -> Statement {
    writer
        .push(
            "select reached.place,
n.nspname || '.' || c.relname,
c.oid::pg_catalog.int8,
(
select pg_catalog.md5(pg_catalog.regexp_replace(
w.ev_action::pg_catalog.text, ':(location|stmt_location|stmt_len) -?[0-9]+', '', 'g'
))
from pg_catalog.pg_rewrite as w
where w.ev_class = c.oid
and c.relkind = 'v'
and w.rulename = '_RETURN'
),
p.parts,
p.which,
a.columns::pg_catalog.text
from reached
cross join here as d
join pg_catalog.pg_class as c on c.oid = reached.oid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
",
        )
        .push(PARTS)
        .push(COLUMNS)
        .push(with_columns)
        .push("\nwhere c.relkind in ('r', 'p', 'v', 'm', 'f')\norder by reached.place, c.oid");
    writer.finish()
}
