select number, findings
from run
where spec = $1
order by number desc
