insert into undecided (run, place, record, checksum) values ($1, $2, $3, $4)
