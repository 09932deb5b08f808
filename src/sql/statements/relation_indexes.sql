select asked.place,
c.relname::pg_catalog.text,
i.indisunique and i.indimmediate,
i.indisprimary,
a.attname::pg_catalog.text,
o.opcdefault and i.indoption[k.place - 1] = 0
and i.indcollation[k.place - 1] = coalesce(a.attcollation, 0)
from pg_catalog.unnest($1) with ordinality as asked(oid, place)
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
order by asked.place, i.indexrelid, k.place
