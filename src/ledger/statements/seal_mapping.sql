update mapping set checksum = $1 where run = $2 and place = $3
