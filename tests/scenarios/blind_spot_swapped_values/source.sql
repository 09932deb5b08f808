create table t (id int primary key, a text, b int);
insert into t select n, 'v' || n, n from generate_series(1, 24) n;
