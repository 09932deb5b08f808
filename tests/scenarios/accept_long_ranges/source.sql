create table t (id int primary key, v text);
insert into t select n, 'v' || n from generate_series(1, 30000) n;
