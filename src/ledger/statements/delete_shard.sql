delete from shard where run = $1
