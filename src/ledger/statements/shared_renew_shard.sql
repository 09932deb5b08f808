update shard
set until = clock_timestamp() + interval '30 s'
where run = $1 and mapping = $2 and place = $3 and holder = $4 and turn = $5
returning place
