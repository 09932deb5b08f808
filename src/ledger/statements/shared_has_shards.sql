select mapping
from shard
where run = $1 and mapping = $2
limit 1
