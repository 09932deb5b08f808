select scope, mapping, place, range, rows, verified_at, verified_by, checksum
from coverage
where scope = $1 and mapping = $2
order by place
