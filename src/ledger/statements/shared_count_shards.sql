select count(*) filter (where not done) as open, count(*) as shards
from shard
where run = $1
