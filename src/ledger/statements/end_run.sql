update run set summary = $1, findings = $2, ended = $3 where number = $4
returning ended
