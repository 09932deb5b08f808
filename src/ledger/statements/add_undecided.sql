insert into undecided (run, place, record) values ($1, $2, $3)
