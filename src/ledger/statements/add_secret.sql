insert into secret (name, value, checksum)
values ($1, $2, $3)
on conflict (name) do nothing
