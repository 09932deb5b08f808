insert into ruling (run, mapping, place, ruled, checksum)
values ($1, $2, $3, $4, $5)
on conflict (run, mapping, place) do update set
    ruled = excluded.ruled,
    checksum = excluded.checksum
