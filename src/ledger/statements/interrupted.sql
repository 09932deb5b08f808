-- The newest runs of a spec with what each was asked, and how many ranges it could not judge; $2 is an
-- id, or empty for any.
select run.number, run.record, run.summary, terms.record,
    (select count(*) from undecided where undecided.run = run.number)
from run
join terms on terms.run = run.number
where run.spec = $1 and run.verb = 'compare' and ($2 = '' or run.id = $2)
order by run.number desc
limit 50
