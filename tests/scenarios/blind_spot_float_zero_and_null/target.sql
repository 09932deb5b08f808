create table t (id int primary key, f float8, g float4);
insert into t values (1, null, 0), (2, 0, null), (3, 0, 0), (4, 0, 0), (5, -1, 0), (6, 'NaN', 'NaN');
