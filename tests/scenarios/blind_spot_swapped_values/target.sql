create table t (id int primary key, a text, b int);
-- every two neighbours have swapped a value: the first twelve rows b, the others a
insert into t select n, 'v' || case when n <= 12 then n else n + 2 * (n % 2) - 1 end,
  case when n > 12 then n else n + 2 * (n % 2) - 1 end from generate_series(1, 24) n;
