select range, rows, verified_at
from coverage
where scope = $1 and mapping = $2
order by place
