select mapping, kind, disposition, count(*)
from finding
where run = $1
group by mapping, kind, disposition
