select mapping, kind, disposition, count(*) as findings
from finding
where run = $1
group by mapping, kind, disposition
