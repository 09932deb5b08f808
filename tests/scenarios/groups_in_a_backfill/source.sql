create table t (id int primary key, tenant_id int, v text);
insert into t select n, case when n <= 20000 then n % 2 when n <= 29000 then 5 end, 'v' || n from generate_series(1, 30000) n;
