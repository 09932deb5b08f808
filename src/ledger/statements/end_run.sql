update run set summary = $1, ended = $2 where number = $3
