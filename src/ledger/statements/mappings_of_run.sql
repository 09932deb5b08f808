select run, place, record, checksum
from mapping
where run = $1
order by place
