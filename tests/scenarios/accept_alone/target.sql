create table t (id int primary key, v text);
insert into t select n, 'v' from generate_series(3, 22) n;
update t set v = 'w' where id = 7;
