insert into lease (spec, holder, until)
values ($1, $2, clock_timestamp() + interval '30 s')
on conflict (spec) do update set holder = excluded.holder, until = excluded.until
where lease.until < clock_timestamp()
or lease.holder = excluded.holder
-- A run that is over has nothing left to keep others from, though no process of many gave its lease back.
or exists (
    select from run
    where run.spec = lease.spec and 'run ' || run.id = lease.holder and run.summary is not null
)
returning holder
