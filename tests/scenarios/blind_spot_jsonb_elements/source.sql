create table t (id int primary key, j jsonb);
insert into t select 1, jsonb_agg(n order by n) from generate_series(1, 70) n;
insert into t values (2, '[null, true]'), (3, '1'), (4, '{"a": 1, "b": 2}');
