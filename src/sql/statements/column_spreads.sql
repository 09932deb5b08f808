select asked.place, s.bounds
from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) with ordinality as asked(schema, name, attribute, place)
cross join lateral (
select s.histogram_bounds::pg_catalog.text::pg_catalog.text[] as bounds
from pg_catalog.pg_stats as s
where s.schemaname = asked.schema
and s.tablename = asked.name
and s.attname = asked.attribute
order by s.inherited desc
limit 1
) as s
order by asked.place
