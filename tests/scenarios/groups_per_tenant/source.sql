create table t (id int primary key, tenant int, v text);
insert into t select n, n % 4, 'v' || n from generate_series(1, 3000) n;
update t set tenant = null where id in (10, 20, 30);
insert into t select n, 77, 'only here' from generate_series(4001, 4003) n;
