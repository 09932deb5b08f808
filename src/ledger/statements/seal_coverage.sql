update coverage set checksum = $1 where scope = $2 and mapping = $3 and place = $4
