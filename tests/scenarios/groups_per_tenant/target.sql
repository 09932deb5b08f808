create table t (id bigint primary key, tenant_id bigint, v text);
insert into t select n, n % 4, 'v' || n from generate_series(1, 3000) n;
update t set tenant_id = null where id in (10, 20, 30);
-- group 1: two values; group 2: a row is missing; NULL: a value
update t set v = 'x' where id in (5, 9, 20);
delete from t where id = 2;
-- a row that has moved from group 1 to group 2, one from 0 to a group that has no other row
update t set tenant_id = 2 where id = 13;
update t set tenant_id = -5 where id = 16;
insert into t values (5001, 88, 'only there');
