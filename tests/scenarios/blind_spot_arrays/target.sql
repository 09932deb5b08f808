create table t (id int primary key, a int[], n numeric[], b int8[]);
insert into t values (1, '{{1,2}}', null, null), (2, '[0:1]={1,2}', null, null), (3, null, '{-1.5}', null), (4, null, null, '{4294967296}'), (5, '{1,NULL}', null, null);
