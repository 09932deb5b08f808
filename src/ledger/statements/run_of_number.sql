-- A run as its checksum covers it.
select run.number, run.id, run.verb, run.spec, run.spec_hash, run.scope, run.started_at, run.record,
    run.findings, run.summary, run.began, run.ended,
    case when run.summary is null then 0
        else (select count(*) from undecided where undecided.run = run.number) end as undecided,
    case when run.summary is null then 0
        else (select count(*) from mapping where mapping.run = run.number) end as mappings,
    run.checksum
from run
where run.number = $1
