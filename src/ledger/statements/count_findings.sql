update run set findings = findings + $1 where number = $2
