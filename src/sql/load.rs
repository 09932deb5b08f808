//! What a server is asked about its load while it is read: sessions that are at work, and how far
//! replay lags. Asked about once a second, so each is one short statement.

use super::statement::Statement;

/// One row: how many sessions of others are active, how many are at work, and whether their states may
/// be seen. At work is whoever is active, or was within the last hundredth of a second: an application
/// in full swing is between two statements most of the time, and comes back at once. Where states may
/// not be seen, those that hold a transaction open are counted instead, which anyone may see; that counts
/// idle ones in, and never reads what is hidden as nobody. Other runs of this program are no others: each
/// of them holds back by itself.
pub fn sessions() -> Statement {
    Statement::constant(
        "select s.active, s.at_work, true as seen
from (
select pg_catalog.count(*) filter (where a.state = 'active') as active, pg_catalog.count(*) as at_work
from pg_catalog.pg_stat_activity as a
where (
a.state = 'active'
or a.state_change > pg_catalog.clock_timestamp() - interval '10 milliseconds'
)
and a.backend_type = 'client backend'
and not pg_catalog.starts_with(coalesce(a.application_name, ''), 'pgreconcile/')
) as s
where pg_catalog.pg_has_role('pg_read_all_stats', 'usage')
union all
select s.open, s.open, false
from (
select pg_catalog.count(distinct l.pid) as open
from pg_catalog.pg_locks as l
where l.locktype = 'virtualxid'
and l.mode = 'ExclusiveLock'
and not exists (
select
from pg_catalog.pg_stat_activity as a
where a.pid = l.pid
and pg_catalog.starts_with(a.application_name, 'pgreconcile/')
)
) as s
where not pg_catalog.pg_has_role('pg_read_all_stats', 'usage')",
    )
}

/// One row, of a standby: microseconds since the primary committed what was replayed last, bytes that
/// were received and not replayed, and whether more is being received. One that has replayed no commit
/// since its start has replayed up to its last checkpoint, at least.
pub fn replay_of_standby() -> Statement {
    Statement::constant(
        "select (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - coalesce(
pg_catalog.pg_last_xact_replay_timestamp(),
case when pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute')
then (select c.checkpoint_time from pg_catalog.pg_control_checkpoint() as c)
end
)) * 1000000)::pg_catalog.int8 as age,
pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())::pg_catalog.int8 as behind,
exists (select from pg_catalog.pg_stat_wal_receiver) as receives",
    )
}

/// A row for each standby of a primary, or one with NULLs where there is none: how far the primary has
/// written, whether the role may see its standbys at all, how far the standby had replayed when it last said so, how long ago that was, and the lag
/// that the primary measured, in microseconds. Those who follow to archive or to decode replay nothing.
pub fn replay_by_standbys() -> Statement {
    Statement::constant(
        "select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::pg_catalog.int8 as written,
pg_catalog.pg_has_role('pg_read_all_stats', 'usage') as seen,
pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')::pg_catalog.int8 as replayed,
(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - r.reply_time) * 1000000)::pg_catalog.int8 as reported_ago,
(pg_catalog.date_part('epoch', r.replay_lag) * 1000000)::pg_catalog.int8 as lag
from (select 1) as one
left join pg_catalog.pg_stat_replication as r
on r.replay_lsn is not null
and not exists (
select
from pg_catalog.pg_replication_slots as s
where s.active_pid = r.pid
and s.slot_type = 'logical'
)",
    )
}
