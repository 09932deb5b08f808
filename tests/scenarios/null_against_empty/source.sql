create table t (id int primary key, a text, b text, c bytea, d text[]);
insert into t values (1, null, '', null, null), (2, '', null, '', '{}'), (3, null, null, null, null),
  (4, 'a', 'b', null, null), (5, 'ab', '', null, '{NULL}');
