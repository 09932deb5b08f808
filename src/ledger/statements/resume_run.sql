update run set record = $1, summary = null where number = $2
