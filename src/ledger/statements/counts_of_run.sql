select kind, disposition, count(*)
from finding
where run = $1
group by kind, disposition
