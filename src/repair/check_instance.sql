  IF NOT pg_catalog.pg_is_in_recovery()
  AND pg_catalog.has_function_privilege('pg_catalog.pg_walfile_name(pg_catalog.pg_lsn)', 'EXECUTE')
  AND pg_catalog.has_function_privilege('pg_catalog.pg_current_wal_flush_lsn()', 'EXECUTE') THEN
    IF pg_catalog.pg_postmaster_start_time() <> {started}::timestamptz
    AND pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()), 8) = '{timeline:08X}'
    AND pg_catalog.pg_current_wal_flush_lsn() < '{end}'::pg_lsn THEN
      RAISE EXCEPTION 'pgreconcile: made for a server whose WAL ended at {end}; this is a file copy of it, or was put back'
        USING ERRCODE = '{GUARD}';
    END IF;
  END IF;
