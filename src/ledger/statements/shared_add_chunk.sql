-- A process that takes the shard over waits until this is committed, and sees it.
with held as (
    select run, mapping
    from shard
    where run = $1 and mapping = $2 and place = $3 and holder = $4 and turn = $5
    for share
)
insert into chunk (run, mapping, place, range, rows, matched, state, outcome, checksum)
select run, mapping, $6, $7, $8, $9, $10, $11, $12
from held
on conflict (run, mapping, place) do update set
    range = excluded.range,
    rows = excluded.rows,
    matched = excluded.matched,
    state = excluded.state,
    outcome = excluded.outcome,
    checksum = excluded.checksum
returning place
