select identity, first_seen, runs, run
from finding
where identity = $1
order by run desc
limit 1
