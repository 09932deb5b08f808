create table t (region text collate "C", id int, email text, pin text, salary numeric, primary key (region, id));
insert into t values
  ('north', 1, 'jane@example.org', '1234', 1000), ('north', 2, 'jane@example.org', null, 1000),
  ('south', 1, ' mary@example.org', '1234', 1000), ('south', 2, 'x', '', 1000), ('west', 1, null, null, null);
