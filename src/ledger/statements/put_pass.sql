insert into pass (run, mapping, state)
values ($1, $2, $3)
on conflict (run, mapping) do update set state = excluded.state
