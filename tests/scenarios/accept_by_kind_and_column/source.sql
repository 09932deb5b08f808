create table t (id int primary key, tenant int, state text, note text, price int);
insert into t select n, case when n % 10 = 7 then 7 else 1 end, 's', 'n', 1 from generate_series(1, 300) n;
