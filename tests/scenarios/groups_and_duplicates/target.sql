create table t (a int, g text, v int);
insert into t values (1, 'x', 1), (1, 'y', 1), (2, 'x', 1), (2, 'w', 1), (3, 'y', 2), (4, null, 1);
insert into t select n, 'z', n from generate_series(10, 40) n;
-- nothing differs but that a key stands twice, in two groups
create table u (a int, g text, v int);
insert into u select n, 'z', n from generate_series(1, 3000) n;
insert into u values (7, 'y', 7);
