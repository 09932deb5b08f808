with recursive shape as (
select t.oid, t.typname, t.typtype, t.typcategory, t.typelem, t.typbasetype, t.typtypmod
from pg_catalog.pg_type as t
where t.oid::pg_catalog.int8 = any($1)
union
select t.oid, t.typname, t.typtype, t.typcategory, t.typelem, t.typbasetype, t.typtypmod
from shape as s
join pg_catalog.pg_type as t on t.oid in (s.typelem, s.typbasetype)
)
select s.oid::pg_catalog.int8, s.typname::pg_catalog.text, s.typtype::pg_catalog.text,
s.typcategory::pg_catalog.text, s.typelem::pg_catalog.int8, s.typbasetype::pg_catalog.int8, s.typtypmod
from shape as s
