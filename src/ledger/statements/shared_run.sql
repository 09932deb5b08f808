-- A run as its checksum covers it, then its fingerprint.
select run.number, run.id, run.verb, run.spec, run.spec_hash, run.scope, run.started_at, run.record,
    run.findings, run.summary, run.began, run.ended,
    case when run.summary is null then 0
        else (select count(*) from undecided where undecided.run = run.number) end as undecided,
    case when run.summary is null then 0
        else (select count(*) from mapping where mapping.run = run.number) end as mappings,
    run.checksum, terms.run as terms_run, terms.record as terms_record, terms.checksum as terms_checksum
from run
join terms on terms.run = run.number
where run.id = $1
