create table t (id int primary key, j jsonb);
insert into t select 1, jsonb_agg(case n when 3 then 35 when 35 then 3 else n end order by n) from generate_series(1, 70) n;
insert into t values (2, '[true, false]'), (3, '1.0'), (4, '{"b": 2, "a": 1}');
