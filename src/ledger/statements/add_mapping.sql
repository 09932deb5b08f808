insert into mapping (run, place, record)
values ($1, $2, $3)
on conflict (run, place) do update set record = excluded.record
