insert into pass (run, mapping, state, checksum)
values ($1, $2, $3, $4)
on conflict (run, mapping) do update set state = excluded.state, checksum = excluded.checksum
