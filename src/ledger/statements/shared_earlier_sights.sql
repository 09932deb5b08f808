select distinct on (identity) identity, first_seen, runs, run, image
from finding
where identity = any($1)
order by identity, run = $2, run desc
