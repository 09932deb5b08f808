create table t (id int primary key, a text, n int);
insert into t values
  (1, 'STATE', 1), (2, 'Größe ÄÖÜ', 1), (3, 'ЖУК ΟΔΟΣ', 1), (4, 'é', 1), (5, 'ß', 1), (6, 'a', 1), (7, null, 1), (8, 'Ä', 1);
