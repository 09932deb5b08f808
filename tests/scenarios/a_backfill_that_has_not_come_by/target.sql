create table t (id int primary key, v text);
insert into t select n, 'v' || n from generate_series(1, 12345) n;
create table h (id int primary key, v text);
insert into h select n, 'v' || n from generate_series(1, 30000) n where n not between 5001 and 15001 and n not between 20001 and 20004;
update h set v = 'x' where id = 20000;
