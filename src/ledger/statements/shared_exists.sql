select pg_catalog.to_regclass('pgreconcile.version')::text as version_table
