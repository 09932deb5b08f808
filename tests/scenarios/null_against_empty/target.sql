create table t (id int primary key, a text, b text, c bytea, d text[]);
insert into t values (1, '', null, null, null), (2, '', null, null, null), (3, null, null, null, null),
  (4, '', 'ab', null, null), (5, 'a', 'b', null, '{"NULL"}');
