create table t (id int primary key, v text);
insert into t select id, 'v' from generate_series(1, 9) id;
