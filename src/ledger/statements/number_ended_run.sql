update run set began = $1, ended = $1 where number = $2
