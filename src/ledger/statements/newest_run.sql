select record, summary
from run
where spec = $1
order by coalesce(ended, began, 0) desc, number desc
limit 1
