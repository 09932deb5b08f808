create table t (id int primary key, a jsonb, b json, c text);
insert into t values
  (1, '{"b":[1, 2], "a": 1}', ' {"b":2, "a":1}', '"ä"'),
  (2, '{"a": 2}', ' [ ] ', null),
  (3, '1.0', '[2,1]', '"A"'),
  (4, 'null', null, '[]'),
  (5, '{}', '1', 'true');
