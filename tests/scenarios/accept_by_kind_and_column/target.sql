create table t (id int primary key, tenant int, state text, note text, price int);
insert into t select n, case when n % 10 = 7 then 7 else 1 end, 's', 'n', 1 from generate_series(1, 300) n;
delete from t where id in (50, 150);
update t set state = 'S' where id in (60, 250);
update t set state = 'S', note = 'N' where id = 61;
update t set state = 'S', price = 2 where id = 62;
update t set price = 2 where id in (47, 267);
insert into t values (301, 7, 's', 'n', 1), (302, 1, 's', 'n', 1);
