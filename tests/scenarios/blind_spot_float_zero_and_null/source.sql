create table t (id int primary key, f float8, g float4);
insert into t values (1, 0, 0), (2, null, 0), (3, '-0', '-0'), (4, 1e-300, 0), (5, 1, 0);
-- a NaN that arithmetic made has another sign bit than one that was read
insert into t values (6, 'Infinity'::float8 - 'Infinity'::float8, 'Infinity'::float4 - 'Infinity'::float4);
