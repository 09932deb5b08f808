select count(*) filter (where not done), count(*)
from shard
where run = $1
