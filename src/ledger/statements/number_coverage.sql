-- Before runs had numbers, a part named the run that had verified it by the second in which it started.
update coverage
set verified_by = (
    select max(run.number)
    from run
    where run.scope = coverage.scope
    and run.verb = 'compare'
    and substr(run.started_at, 1, 19) = substr(coverage.verified_at, 1, 19)
)
where verified_at <> ''
