insert into mapping (run, place, record) values ($1, $2, $3)
