select place, range, rows, matched, state
from chunk
where run = $1 and mapping = $2
order by place
