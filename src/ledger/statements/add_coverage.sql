insert into coverage (scope, mapping, place, range, rows, verified_at, verified_by, checksum)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (scope, mapping, place) do update set
    range = excluded.range,
    rows = excluded.rows,
    verified_at = excluded.verified_at,
    verified_by = excluded.verified_by,
    checksum = excluded.checksum
