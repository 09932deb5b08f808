select number, findings, started_at
from run
where spec = $1
order by number desc
