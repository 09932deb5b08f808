select number, findings, started_at
from run
where spec = $1
order by coalesce(ended, began, 0) desc, number desc
