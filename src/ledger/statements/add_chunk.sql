insert into chunk (run, mapping, place, range, rows, matched, state, outcome, checksum)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (run, mapping, place) do update set
    range = excluded.range,
    rows = excluded.rows,
    matched = excluded.matched,
    state = excluded.state,
    outcome = excluded.outcome,
    checksum = excluded.checksum
