create table t (a int, b text collate "C", v int);
insert into t values (1, 'x', 1), (1, 'x', 1), (2, 'x', 1), (3, 'x', 1), (3, 'x', 1), (3, 'x', 1), (4, 'x', 1),
  (6, 'x', 2), (8, 'x', 1), (9, null, 1);
