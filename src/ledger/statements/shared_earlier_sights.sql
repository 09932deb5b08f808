select distinct on (finding.identity)
    finding.identity, finding.first_seen, finding.runs, finding.run, finding.image,
    coalesce(run.ended, run.began, 0)
from finding
join run on run.number = finding.run
where finding.identity = any($1)
order by finding.identity, finding.run = $2, coalesce(run.ended, run.began, 0) desc, finding.run desc
