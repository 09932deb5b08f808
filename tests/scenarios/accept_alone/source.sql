create table t (id int primary key, v text, created_at timestamptz);
insert into t select n, 'v', '2023-01-01 00:00+00' from generate_series(1, 20) n;
insert into t values (21, 'v', null), (22, 'v', '2025-01-01 00:00+00');
