select s.name from unnest($1) as s(name)
where coalesce(
pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(s.name), 'select')
and pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(s.name), 'update'),
false
) is false
