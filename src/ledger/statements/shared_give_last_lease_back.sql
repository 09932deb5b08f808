delete from lease
where spec = $1 and holder = $2
and not exists (select from lease as other where pg_catalog.starts_with(other.spec, $3))
returning spec
