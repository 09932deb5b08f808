create table t (id int8 primary key, v text);
insert into t select id, 'v' from generate_series(5, 30) id;
insert into t values (-5, 'below');
