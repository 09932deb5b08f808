update run set began = $1 where number = $2
