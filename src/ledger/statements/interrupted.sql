-- The newest runs of a spec as their checksums cover them; then what each was asked; then how many
-- ranges it could not judge, and how many of these because a side had changed under way
-- (src/run/work/changed.rs words it so). $2 is an id, or empty for any.
select run.number, run.id, run.verb, run.spec, run.spec_hash, run.scope, run.started_at, run.record,
    run.findings, run.summary, run.began, run.ended,
    case when run.summary is null then 0
        else (select count(*) from undecided where undecided.run = run.number) end,
    case when run.summary is null then 0
        else (select count(*) from mapping where mapping.run = run.number) end,
    run.checksum, terms.run, terms.record, terms.checksum,
    (select count(*) from undecided where undecided.run = run.number),
    (
        select count(*) from undecided
        where undecided.run = run.number and undecided.record like '% has changed under way: %'
    )
from run
join terms on terms.run = run.number
where run.spec = $1 and run.verb = 'compare' and ($2 = '' or run.id = $2)
order by coalesce(run.ended, run.began, 0) desc, run.number desc
limit 50
