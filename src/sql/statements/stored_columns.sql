select a.attname::pg_catalog.text,
pg_catalog.format_type(a.atttypid, -1),
a.atttypid::pg_catalog.int8,
a.attnotnull or t.typnotnull,
a.attgenerated operator(pg_catalog.<>) '',
a.attidentity::pg_catalog.text,
a.atthasdef or t.typdefault is not null,
coalesce(
pg_catalog.pg_get_serial_sequence(a.attrelid::pg_catalog.regclass::pg_catalog.text, a.attname::pg_catalog.text),
(
select pg_catalog.min(s.oid::pg_catalog.regclass::pg_catalog.text collate "C")
from pg_catalog.pg_attrdef as f
join pg_catalog.pg_depend as d
on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = f.oid
join pg_catalog.pg_class as s on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
and s.oid = d.refobjid and s.relkind = 'S'
where f.adrelid = a.attrelid and f.adnum = a.attnum
)
),
pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'select'),
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
),
exists (select from pg_catalog.pg_index as i where i.indrelid = a.attrelid and not i.indimmediate),
case when a.attgenerated operator(pg_catalog.<>) '' then (
select pg_catalog.pg_get_expr(f.adbin, f.adrelid)
from pg_catalog.pg_attrdef as f where f.adrelid = a.attrelid and f.adnum = a.attnum
) end,
(
select pg_catalog.string_agg('(' || pg_catalog.pg_get_expr(x.conbin, x.conrelid) || ') is not false', ' and ')
from pg_catalog.pg_constraint as x
where x.conrelid = a.attrelid and x.contype = 'c' and a.attnum = any (x.conkey)
),
exists (
select from pg_catalog.pg_collation as l where l.oid = a.attcollation and not l.collisdeterministic
),
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
)
from pg_catalog.pg_attribute as a
join pg_catalog.pg_type as t on t.oid = a.atttypid
where a.attnum > 0
and not a.attisdropped
and a.attrelid = $1::pg_catalog.oid
order by a.attnum
