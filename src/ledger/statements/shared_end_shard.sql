update shard
set done = true, until = null, checksum = $6
where run = $1 and mapping = $2 and place = $3 and holder = $4 and turn = $5
returning place
