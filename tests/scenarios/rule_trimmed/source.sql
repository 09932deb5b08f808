create table t (id int primary key, a text, b char(6));
insert into t values
  (1, '  a b ', ' x'), (2, E'\t\n\x0b\f\r a', 'x'), (3, ' ', 'y'), (4, 'a  b', 'Y'), (5, null, null), (6, E'a\u00a0', 'z');
