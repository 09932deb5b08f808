select identity, first_seen, runs
from finding
where identity = $1
order by run desc
limit 1
