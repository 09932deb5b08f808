create table t (id int primary key, tenant_id int, v text);
insert into t select n, n % 2, 'v' || n from generate_series(1, 12000) n;
