select number, verb, scope, record, summary
from run
where spec = $1
order by number
