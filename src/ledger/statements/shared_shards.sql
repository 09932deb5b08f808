-- The shards of a mapping as their checksums cover those that are done: the only shard of a mapping with
-- the number of its chunks. Chunks of several shards must tile, which proves as much.
select run, mapping, place, range, done::int::bigint as done, (
        select count(*)
        from chunk
        where chunk.run = shard.run and chunk.mapping = shard.mapping and not exists (
            select from shard as other
            where other.run = shard.run and other.mapping = shard.mapping
            and other.place <> shard.place
        )
    ) as chunks, checksum
from shard
where run = $1 and mapping = $2
order by place
