-- Those of the run whose process died count no more.
delete from lease
where spec = $1
or pg_catalog.starts_with(spec, $2) and until < clock_timestamp()
returning spec
