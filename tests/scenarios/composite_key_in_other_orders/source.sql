create table t (a int, b int, v int, primary key (a, b));
insert into t select a, b, a * b from generate_series(1, 6) a, generate_series(1, 6) b;
create table u (a int, b int, v int, primary key (a, b));
insert into u select * from t;
