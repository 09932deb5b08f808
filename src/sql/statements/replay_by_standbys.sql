select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::pg_catalog.int8,
pg_catalog.pg_has_role('pg_read_all_stats', 'usage'),
pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')::pg_catalog.int8,
(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - r.reply_time) * 1000000)::pg_catalog.int8,
(pg_catalog.date_part('epoch', r.replay_lag) * 1000000)::pg_catalog.int8
from (select 1) as one
left join pg_catalog.pg_stat_replication as r
on r.replay_lsn is not null
and not exists (
select
from pg_catalog.pg_replication_slots as s
where s.active_pid = r.pid
and s.slot_type = 'logical'
)
