//! What identifies the thing that a side reads from, asked again and again while it is read.

use super::statement::{Bind, Statement, Writer};
use crate::schema::TableName;

/// One row: version, database, its OID, whether the server is a standby, the cluster's identifier
/// where the role may ask, and of a primary the name of the file that it writes to, which begins with
/// the timeline. Then of the relation, if one is named and there: OID, file, how many partitions and
/// children on all levels and a hash of which; and of its columns, as arrays: names, numbers, types as
/// written, versions of collations.
pub fn shape(table: Option<&TableName>) -> Statement {
    let mut writer = Writer::new(&[]);
    writer.push(
        "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
d.datname::pg_catalog.text,
d.oid::pg_catalog.int8,
pg_catalog.pg_is_in_recovery(),
case when pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
then (select s.system_identifier::pg_catalog.text from pg_catalog.pg_control_system() as s)
end,
case when not pg_catalog.pg_is_in_recovery()
and pg_catalog.has_function_privilege('pg_catalog.pg_walfile_name(pg_catalog.pg_lsn)', 'execute')
and pg_catalog.has_function_privilege('pg_catalog.pg_current_wal_insert_lsn()', 'execute')
then pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn())
end,
c.oid::pg_catalog.int8,
pg_catalog.pg_relation_filenode(c.oid)::pg_catalog.int8,
p.parts,
p.which,
a.names,
a.numbers,
a.types,
a.versions
from pg_catalog.pg_database as d
left join (
select c.oid
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = ",
    );
    writer
        .bind(Bind::text(table.map_or("", |table| &table.schema.0)))
        .push("\nand c.relname = ")
        .bind(Bind::text(table.map_or("", |table| &table.name)))
        .push(
            "
) as c on true
left join lateral (
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
left join lateral (
select pg_catalog.array_agg(a.attname::pg_catalog.text order by a.attnum) as names,
pg_catalog.array_agg(a.attnum::pg_catalog.int4 order by a.attnum) as numbers,
pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) order by a.attnum) as types,
pg_catalog.array_agg(case
when a.attcollation = 0 then null
when a.attcollation = 'pg_catalog.\"default\"'::pg_catalog.regcollation
and d.datcollate not in ('C', 'POSIX') then coalesce(
pg_catalog.pg_collation_actual_version(a.attcollation),
(
select pg_catalog.pg_collation_actual_version(o.oid)
from pg_catalog.pg_collation as o
where o.collprovider = 'c'
and o.collcollate = d.datcollate
limit 1
)
)
else pg_catalog.pg_collation_actual_version(a.attcollation)
end order by a.attnum) as versions
from pg_catalog.pg_attribute as a
where a.attrelid = c.oid
and a.attnum > 0
and not a.attisdropped
) as a on true
where d.datname = pg_catalog.current_database()",
        );
    writer.finish()
}
