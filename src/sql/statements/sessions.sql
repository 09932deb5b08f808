select s.active, s.at_work, true
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
where not pg_catalog.pg_has_role('pg_read_all_stats', 'usage')
