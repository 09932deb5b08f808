create table t (id int primary key, a text, b json, c varchar(40));
insert into t values
  (1, '{"a":1,"b":[1,2]}', '{"a":1,"b":2}', '"\u00e4"'),
  (2, '{"a": 1, "a": 2}', '[]', null),
  (3, '1', '[1,2]', '"a"'),
  (4, null, 'null', '{}'),
  (5, '{"a":null}', '"1"', ' true ');
