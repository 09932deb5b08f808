with recursive asked as (
select a.oid::pg_catalog.oid as oid, a.alone, a.place
from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) with ordinality as a(oid, alone, place)
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
a.attname::pg_catalog.text,
pg_catalog.format_type(a.atttypid, a.atttypmod),
a.atttypid::pg_catalog.int8,
a.atttypmod,
a.attnotnull and c.relkind <> 'f' and (asked.place, a.attname) not in (
select u.place, u.attname
from nullable as u
),
pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'select'),
case
when a.attcollation = 0 then '-'
when not l.collisdeterministic then 'n'
when l.collprovider = 'b' or l.collprovider = 'c' and l.collcollate in ('C', 'POSIX') then 'b'
when l.collprovider = 'd' and here.provider = 'b' then 'b'
when l.collprovider = 'd' and here.provider = 'c' and here.datcollate in ('C', 'POSIX') then 'b'
else 'l'
end,
coalesce(pg_catalog.abs(s.correlation) < 0.5, false),
case
when l.collprovider in ('c', 'i') then
l.collprovider::pg_catalog.text || ' '
|| coalesce(pg_catalog.to_jsonb(l) ->> 'colllocale', pg_catalog.to_jsonb(l) ->> 'colliculocale', l.collcollate::pg_catalog.text)
|| ' ' || coalesce(pg_catalog.to_jsonb(l) ->> 'collicurules', '')
|| ' ' || case when l.collversion = pg_catalog.pg_collation_actual_version(l.oid) then l.collversion end
when l.collprovider = 'd' then here.collation
end,
case when s.n_distinct < 0 then -s.n_distinct * greatest(c.reltuples, 0) else s.n_distinct end::pg_catalog.float8
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
order by asked.place, a.attnum
