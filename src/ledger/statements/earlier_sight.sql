-- Its last sight before this run ($2), or if there is none, in this run before it was interrupted.
select identity, first_seen, runs, run, image
from finding
where identity = $1
order by run = $2, run desc
limit 1
