-- Takes a lease that has no holder, that has expired, or that is the holder's own. That of a spec is also
-- taken from a run that has ended: such a run excludes no other, though none of its processes has
-- released the lease.
insert into lease (kind, spec, run, holder, until)
values ($1, $2, $3, $4, clock_timestamp() + interval '30 s')
on conflict (kind, spec) do update set
    run = excluded.run,
    holder = excluded.holder,
    until = excluded.until
where lease.until < clock_timestamp()
or lease.holder = excluded.holder
or lease.kind = 'spec' and exists (
    select from run
    where run.id = lease.run and run.spec = lease.spec and run.summary is not null
)
returning holder
