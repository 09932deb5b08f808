update terms set checksum = $1 where run = $2
