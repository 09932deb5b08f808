insert into mapping (run, place, record, checksum)
values ($1, $2, $3, $4)
on conflict (run, place) do update set record = excluded.record, checksum = excluded.checksum
