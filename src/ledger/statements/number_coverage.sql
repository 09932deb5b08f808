-- Before runs had numbers, the second in which a run started told which run had verified a part.
update coverage
set verified_by = (
    select max(run.number)
    from run
    where run.scope = coverage.scope
    and run.verb = 'compare'
    and substr(run.started_at, 1, 19) = substr(coverage.verified_at, 1, 19)
)
where verified_at <> ''
