insert into terms (run, record, checksum)
values ($1, $2, $3)
on conflict (run) do update set record = excluded.record, checksum = excluded.checksum
