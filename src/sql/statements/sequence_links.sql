select asked.place,
a.attname::pg_catalog.text,
n.nspname::pg_catalog.text,
c.relname::pg_catalog.text,
s.seqincrement,
case when s.seqincrement > 0 then s.seqmax else s.seqmin end,
pg_catalog.has_schema_privilege(n.oid, 'usage')
and pg_catalog.has_sequence_privilege(c.oid, 'select')
from pg_catalog.unnest($1) with ordinality as asked(oid, place)
cross join lateral (
select d.refobjid as relation, d.refobjsubid as number, d.objid as sequence
from pg_catalog.pg_depend as d
join pg_catalog.pg_attribute as o on o.attrelid = d.refobjid and o.attnum = d.refobjsubid
join pg_catalog.pg_type as y on y.oid = o.atttypid and y.typcategory <> 'S'
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.deptype in ('a', 'i')
and d.refobjid = asked.oid::pg_catalog.oid
union
select v.relation, v.number, v.sequence
from (
select f.adrelid as relation, f.adnum as number, d.refobjid as sequence,
pg_catalog.pg_get_expr(f.adbin, f.adrelid) as told,
pg_catalog.format_type(h.atttypid, h.atttypmod) as own
from pg_catalog.pg_attrdef as f
join pg_catalog.pg_attribute as h on h.attrelid = f.adrelid and h.attnum = f.adnum
join pg_catalog.pg_depend as d
on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
and d.objid = f.oid
and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
where f.adrelid = asked.oid::pg_catalog.oid
union all
select h.attrelid, h.attnum, d.refobjid, pg_catalog.pg_get_expr(t.typdefaultbin, 0),
pg_catalog.format_type(t.typbasetype, t.typtypmod)
from pg_catalog.pg_attribute as h
join pg_catalog.pg_type as t on t.oid = h.atttypid and t.typtype = 'd'
join pg_catalog.pg_depend as d
on d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
and d.objid = t.oid
and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
where not h.atthasdef
and h.attrelid = asked.oid::pg_catalog.oid
) as v
where pg_catalog.replace(v.told, ')::' || v.own, ')') ~ '^(nextval\(''([^'']|'''')+''::regclass\)|\(nextval\(''([^'']|'''')+''::regclass\)\)(::(bigint|numeric|text|character varying))?)$'
) as l
join pg_catalog.pg_sequence as s on s.seqrelid = l.sequence
join pg_catalog.pg_class as c on c.oid = l.sequence
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = l.relation and a.attnum = l.number
order by asked.place, a.attnum, 3, 4
