select distinct on (finding.identity) finding.run, finding.place, finding.identity, finding.image,
    finding.mapping, finding.kind, finding.disposition, finding.first_seen, finding.runs,
    finding.record, finding.checksum, run.id as run_id, coalesce(run.ended, run.began, 0) as run_order
from finding
join run on run.number = finding.run
where finding.identity = any($1)
order by finding.identity, finding.run = $2, coalesce(run.ended, run.began, 0) desc, finding.run desc
