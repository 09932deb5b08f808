update run set findings = findings + ?2 where number = ?1
