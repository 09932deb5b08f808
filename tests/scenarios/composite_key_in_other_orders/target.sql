create table t (a int, b int, v int, primary key (a, b));
insert into t select a, b, a * b from generate_series(1, 6) a, generate_series(1, 6) b;
create table u (a int, b int, v int, primary key (b, a));
insert into u select * from t;
update t set v = 0 where (a, b) = (6, 1);
update u set v = 0 where (a, b) = (1, 6);
