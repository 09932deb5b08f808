select run, mapping, place, range, rows, matched, state, outcome, checksum
from chunk
where run = $1 and mapping = $2 and place = $3
