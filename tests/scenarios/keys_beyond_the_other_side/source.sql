create table t (id int8 primary key, v text);
insert into t select id, 'v' from generate_series(1, 10) id;
insert into t values (-9223372036854775808, 'least'), (9223372036854775807, 'most');
