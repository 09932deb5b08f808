select identity, first_seen, runs, run, image
from finding
where identity = $1
order by run desc
limit 1
