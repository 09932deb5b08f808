-- The runs of a spec as their checksums cover them, in the ledger's order: by their end, or if they have
-- none, by when they were last started or resumed; also those that only their record assigns to it ($2).
select run.number, run.id, run.verb, run.spec, run.spec_hash, run.scope, run.started_at, run.record,
    run.findings, run.summary, run.began, run.ended,
    case when run.summary is null then 0
        else (select count(*) from undecided where undecided.run = run.number) end as undecided,
    case when run.summary is null then 0
        else (select count(*) from mapping where mapping.run = run.number) end as mappings,
    run.checksum
from run
where run.spec = $1 or run.record like $2
order by coalesce(run.ended, run.began, 0), run.number
