update run set checksum = $1 where number = $2
