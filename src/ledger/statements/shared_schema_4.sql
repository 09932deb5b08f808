-- Version 4 of the tables in a PostgreSQL database: a column says what a lease is of. Until now blanks in
-- its name did.

-- kind: 'spec', of which one run may be under way at a time; 'process', one of those that share a run,
-- which is alive as long as it renews its lease; 'report', the right to report a shared run.
-- spec: which one of its kind: the spec's name, the process's id, the run's id.
-- run: the id of the run that the holder runs; empty if that was not known when the lease was taken.
alter table pgreconcile.lease add column kind text not null default 'spec';
alter table pgreconcile.lease add column run text not null default '';
alter table pgreconcile.lease drop constraint lease_pkey, add primary key (kind, spec);

update pgreconcile.lease
set kind = 'process', spec = holder, run = substr(spec, 5, length(spec) - length(holder) - 5)
where substr(spec, 1, 4) = 'run ' and right(spec, length(holder) + 1) = ' ' || holder;

update pgreconcile.lease
set kind = 'report', spec = run.id, run = run.id
from pgreconcile.run
where lease.kind = 'spec' and lease.spec = 'settling ' || run.number;

update pgreconcile.lease
set run = substr(holder, 5)
where kind = 'spec' and substr(holder, 1, 4) = 'run ';

-- No spec's name has a blank: these are of runs that are not stored any more.
delete from pgreconcile.lease where kind = 'spec' and position(' ' in spec) > 0;
