create table t (id int primary key, v text);
insert into t values (4, 'b'), (5, 'a'), (6, 'c'), (7, null);
