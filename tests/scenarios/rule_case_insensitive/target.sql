create type state as enum ('State', 'größe äöü', 'жук οδος', 'e', 'ss', 'A ', 'ä');
create table t (id int primary key, a state, n int);
insert into t values
  (1, 'State', 1), (2, 'größe äöü', 1), (3, 'жук οδος', 1), (4, 'e', 1), (5, 'ss', 1), (6, 'A ', 1), (7, 'e', 1), (8, 'ä', 2);
