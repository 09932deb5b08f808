-- A few at a time: the differences of one may be long.
select run, mapping, place, range, rows, matched, state, outcome, checksum
from chunk
where run = $1 and mapping = $2 and place >= $3 and place < $4
order by place
limit 32
