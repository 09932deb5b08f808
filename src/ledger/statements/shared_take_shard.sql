-- The shard as its checksum covers one that is not done, then the number of this lease, and how many
-- shards the mapping has.
update shard
set holder = $1, until = clock_timestamp() + interval '30 s', turn = turn + 1
where ctid = (
    select ctid
    from shard
    where run = $2 and not done and (until is null or until < clock_timestamp())
    order by mapping, place
    limit 1
    for update skip locked
)
returning run, mapping, place, range, 0::bigint as done, 0::bigint as chunks, checksum, turn, (
    select count(*)
    from shard as every
    where every.run = shard.run and every.mapping = shard.mapping
) as shards
