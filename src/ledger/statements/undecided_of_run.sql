select record
from undecided
where run = ?1
order by place
