select range, rows, verified_at, coalesce(verified_by, 0)
from coverage
where scope = $1 and mapping = $2
order by place
