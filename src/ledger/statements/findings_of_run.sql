select record
from finding
where run = ?1
order by place
