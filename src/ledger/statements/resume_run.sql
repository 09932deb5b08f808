update run set record = $1, began = $2, ended = null, summary = null, checksum = $3 where number = $4
