insert into secret (name, value) values (?1, ?2)
