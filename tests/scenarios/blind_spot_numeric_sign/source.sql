create table t (id int primary key, n numeric, m numeric(10,2));
insert into t values (1, 5.25, 0), (2, 'NaN', 0), (3, 'Infinity', 0), (4, null, 0), (5, 0, -1), (6, 1.0, 1), (7, 100, 7.10);
