update run set summary = ?2 where number = ?1
