select place, record
from mapping
where run = $1
order by place
