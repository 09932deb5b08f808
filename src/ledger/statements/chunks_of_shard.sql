select place, range, rows, matched, state
from chunk
where run = $1 and mapping = $2 and place >= $3 and place < $4
order by place
