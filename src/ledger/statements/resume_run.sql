update run set record = $1, summary = null, checksum = $2 where number = $3
