create table t (id int primary key, v text);
insert into t values (1, 'a'), (2, 'never'), (3, null), (4, 'a');
