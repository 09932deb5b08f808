-- Takes the next number of the ledger, which no other process gets. It is larger than those of all runs
-- even if the last number is missing or damaged.
insert into numbering (name, last)
select 'run', coalesce(max(taken), 0) + 1
from (
    select max(began) as taken from run
    union all
    select max(ended) as taken from run
) as numbers
where true
on conflict (name) do update set last = case
    when numbering.last >= excluded.last then numbering.last + 1
    else excluded.last
end
returning last
