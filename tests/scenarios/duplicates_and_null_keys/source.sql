create table t (a int, b text collate "C", v int);
insert into t values (1, 'x', 1), (1, 'x', 1), (2, 'x', 1), (2, 'x', 2), (3, 'x', 1), (4, 'x', 1),
  (null, 'x', 1), (5, null, 1), (null, null, 1), (6, 'x', 1), (7, 'x', 1);
