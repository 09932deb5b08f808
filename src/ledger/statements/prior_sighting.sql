-- The last sighting of a difference before this run ($2), or if there is none, in this run before it was
-- interrupted; with the id of its run and the run's place in the ledger's order.
select finding.run, finding.place, finding.identity, finding.image, finding.mapping, finding.kind,
    finding.disposition, finding.first_seen, finding.runs, finding.record, finding.checksum, run.id as run_id,
    coalesce(run.ended, run.began, 0) as run_order
from finding
join run on run.number = finding.run
where finding.identity = $1
order by finding.run = $2, coalesce(run.ended, run.began, 0) desc, finding.run desc
limit 1
