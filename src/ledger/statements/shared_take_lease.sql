insert into lease (spec, holder, until)
values ($1, $2, clock_timestamp() + interval '30 s')
on conflict (spec) do update set holder = excluded.holder, until = excluded.until
where lease.until < clock_timestamp() or lease.holder = excluded.holder
returning holder
