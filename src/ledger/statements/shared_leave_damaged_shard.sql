-- Its range is not known. Its checksum stays wrong, and the process that reports the run reads the range.
update shard
set done = true, until = null
where run = $1 and mapping = $2 and place = $3 and holder = $4 and turn = $5
returning place
