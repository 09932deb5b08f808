update run set findings = $1, checksum = $2 where number = $3
