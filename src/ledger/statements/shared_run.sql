select run.number, run.record, terms.record
from run
join terms on terms.run = run.number
where run.id = $1
