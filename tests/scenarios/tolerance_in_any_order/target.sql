create table t (k int, price numeric, note text);
insert into t select n, n + 0.01, 'x' from generate_series(1, 40) n order by n * 7 % 41;
insert into t values (50, 1.011, 'x'), (51, 1, 'x'), (52, 1.01, 'y');
update t set note = 'z' where k = 7;
