update shard
set until = null
where run = $1 and mapping = $2 and place = $3 and holder = $4 and turn = $5 and not done
returning place
