with held as (
    select run, mapping
    from shard
    where run = $1 and mapping = $2 and place = $3 and holder = $4 and turn = $5
    for share
)
delete from chunk
using held
where chunk.run = held.run and chunk.mapping = held.mapping and chunk.place >= $6
returning chunk.place
