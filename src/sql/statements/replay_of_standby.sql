select (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - coalesce(
pg_catalog.pg_last_xact_replay_timestamp(),
case when pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute')
then (select c.checkpoint_time from pg_catalog.pg_control_checkpoint() as c)
end
)) * 1000000)::pg_catalog.int8,
pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())::pg_catalog.int8,
exists (select from pg_catalog.pg_stat_wal_receiver)
