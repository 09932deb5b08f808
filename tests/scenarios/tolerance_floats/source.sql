create table t (id int primary key, f float8, g float4, h float4);
insert into t values
  (1, 0.3, 1, 1.1), (2, 0.8, 1, 1.1), (3, 'NaN', 'Infinity', 0), (4, 'NaN', '-Infinity', '-0'),
  (5, 1e308, 3e38, 0), (6, 5e-324, 1e-45, 1), (7, '-0', 0, 'NaN');
