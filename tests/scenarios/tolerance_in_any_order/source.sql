create table t (k int, price numeric, note text);
insert into t select n, n, 'x' from generate_series(1, 40) n order by n;
insert into t values (50, 1, 'x'), (51, 1, 'x'), (51, 1, 'x'), (52, 1, 'x'), (null, 1, 'x');
