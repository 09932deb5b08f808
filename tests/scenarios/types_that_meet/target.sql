create table t (id int8 primary key, i int8, j int8, n numeric, f float8, s text, c text, d char(5), js jsonb, u text, net inet, day timestamp);
insert into t values (1, 1, 1, 1.000, 1.1, 'a', 'ab', 'x', '{"b": [1,2], "a": 1}', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '10.0.0.0/8', '2026-01-01 00:00:00'),
  (2, 2, 2, 2.5, 2.5000001, 'b ', 'c', 'y', '{"a": 1}', null, null, null), (3, 4294967295, 65535, -1, 'NaN', '', '', '', 'null', null, null, null);
