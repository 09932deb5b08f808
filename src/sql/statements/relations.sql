select asked.place,
c.oid::pg_catalog.int8,
c.relkind::pg_catalog.text,
exists (select from pg_catalog.pg_inherits as i where i.inhparent = c.oid),
case when c.relkind = 'p' then (
select pg_catalog.sum(greatest(leaf.reltuples, 0))
from pg_catalog.pg_partition_tree(c.oid) as t
join pg_catalog.pg_class as leaf on leaf.oid = t.relid
where t.isleaf
) else c.reltuples end::pg_catalog.float8,
pg_catalog.row_security_active(c.oid),
pg_catalog.has_schema_privilege(n.oid, 'usage'),
coalesce(m.amname = 'heap', false),
c.relispopulated,
case when c.relkind in ('r', 'm') then coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) > 0
else true
end
from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) with ordinality as asked(schema, name, place)
join pg_catalog.pg_class as c on c.relname = asked.name
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = asked.schema
left join pg_catalog.pg_am as m on m.oid = c.relam
order by asked.place
