-- What it holds is not known: its checksum stays wrong, and whoever reports the whole reads it.
update shard
set done = true, until = null
where run = $1 and mapping = $2 and place = $3 and holder = $4 and turn = $5
returning place
