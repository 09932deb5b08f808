insert into shard (run, mapping, place, range)
select $1, $2, cut.place - 1, cut.range
from unnest($3) with ordinality as cut (range, place)
where not exists (select 1 from shard where run = $1 and mapping = $2)
