with indexes as (
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
select i.relname::pg_catalog.text,
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
),
i.alike,
not i.indimmediate,
i.indisexclusion,
i.indexprs is not null or i.indpred is not null or i.alike or i.indisexclusion
or exists (select from keys as k where k.indexrelid = i.indexrelid and k.own)
or exists (
select from pg_catalog.pg_attribute as a
where a.attrelid = i.indrelid and a.attnum = any (i.direct) and a.attgenerated <> ''
),
array(select k.key from keys as k where k.indexrelid = i.indexrelid order by k.place),
array(
select case when k.hashes then 'pg_catalog.hash_array_extended(array[' || k.key || '], 0)' || case
when k.opcintype in ('pg_catalog.numeric'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)
then ' operator(pg_catalog.#) pg_catalog.hashtextextended(pg_catalog.translate(' || k.key
|| '::pg_catalog.text, ''0.'', '''') collate pg_catalog."C", 0)' else '' end
else 'pg_catalog.hashtextextended(' || k.key || '::pg_catalog.text collate pg_catalog."C", 0)' end
from keys as k where k.indexrelid = i.indexrelid and k.equal order by k.place
),
array(
select k.attname::pg_catalog.text from keys as k
where k.indexrelid = i.indexrelid and k.equal and k.attname is not null
order by k.place
),
pg_catalog.pg_get_expr(i.indpred, i.indrelid),
array(
select a.attname::pg_catalog.text from pg_catalog.pg_attribute as a
where a.attrelid = i.indrelid and a.attnum = any (i.direct) and a.attgenerated <> ''
)
from indexes as i
order by i.indexrelid
