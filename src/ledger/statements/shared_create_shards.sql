insert into shard (run, mapping, place, range, checksum)
select $1, $2, cut.place - 1, cut.range, cut.checksum
from unnest($3, $4) with ordinality as cut (range, checksum, place)
where not exists (select 1 from shard where run = $1 and mapping = $2)
