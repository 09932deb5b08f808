insert into version (number) values ($1)
