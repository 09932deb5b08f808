create table t (id int primary key, a varchar(20), b text);
insert into t values
  (1, 'a b', E'x \t'), (2, E'a\r\n', ' x '), (3, '', 'y'), (4, 'a b', 'y'), (5, '', ' '), (6, 'a', 'z');
