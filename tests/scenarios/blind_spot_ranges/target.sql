create table t (id int primary key, n numrange, b int8range, ts tstzrange);
insert into t values (1, '[-1,3)', null, null), (2, null, '[1,4294967299)', null), (3, null, null, '(2026-01-01,)'), (4, 'empty', 'empty', '(,)');
