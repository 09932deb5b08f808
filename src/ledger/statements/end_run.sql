update run set summary = $1 where number = $2
