create table t (id int2 primary key, i int4, j int2, n int4, f float4, s varchar(8), c char(6), d char(3), js json, u uuid, net cidr, day date);
insert into t values (1, 1, 1, 1, 1.1, 'a', 'ab', 'x', '{"a": 1, "b": [1, 2]}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.0/8', '2026-01-01'),
  (2, 2, 2, 2, 2.5, 'b', 'c', 'y', '{}', null, null, null), (3, -1, -1, -1, 'NaN', '', '', '', 'null', null, null, null);
