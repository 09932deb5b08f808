-- The comparisons of a scope that came to an end before this run, the newest first.
select number, record, summary, coalesce(ended, began, 0)
from run
where scope = $1 and number <> $2 and verb = 'compare' and summary is not null
order by coalesce(ended, began, 0) desc, number desc
limit 50
