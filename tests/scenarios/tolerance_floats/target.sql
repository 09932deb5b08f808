create table t (id int primary key, f float8, g float4, h float8);
insert into t values
  (1, 0.2, 1.0000001192092895508, 1.1), (2, 0.7, 1.0000002384185791, 1.10000006), (3, 'NaN', 'Infinity', 0.00000003), (4, 0, 'Infinity', 0),
  (5, -1e308, 3e38, 1e-300), (6, 0, 0, 1.0000001), (7, 0.1, '-0', 'NaN');
