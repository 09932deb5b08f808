update run set summary = $1, findings = $2 where number = $3
returning ended
