with held as (
    select run, mapping, place
    from shard
    where run = $1 and mapping = $2 and place = $3 and holder = $4 and turn = $5
    for update
)
update shard
set done = true, until = null, checksum = $6
from held
where shard.run = held.run and shard.mapping = held.mapping and shard.place = held.place
returning shard.place
