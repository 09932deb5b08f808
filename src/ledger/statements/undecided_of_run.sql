select run, place, record, checksum
from undecided
where run = $1 and place > $2
order by place
limit 500
