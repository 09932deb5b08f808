update secret set checksum = $1 where name = $2
