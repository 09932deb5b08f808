begin isolation level read committed read write;
set local search_path = pgreconcile, pg_catalog;
set local statement_timeout = '30s';
set local lock_timeout = '10s';
set local idle_in_transaction_session_timeout = '1min';
set local standard_conforming_strings = on;
-- A reported run must survive a crash, since the gate depends on it. Stronger values stay.
select set_config('synchronous_commit', 'on', true)
where current_setting('synchronous_commit') in ('off', 'local');
