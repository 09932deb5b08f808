insert into terms (run, record)
values ($1, $2)
on conflict (run) do update set record = excluded.record
