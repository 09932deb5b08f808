delete from shard
