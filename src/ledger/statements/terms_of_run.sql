select terms.run, terms.record, terms.checksum
from run
join terms on terms.run = run.number
where run.id = $1
