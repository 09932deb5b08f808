create table t (region text collate "C", id int, email text, pin text, salary numeric, primary key (region, id));
insert into t values
  ('north', 1, 'mary@example.org', '1234', 1000.5), ('north', 2, 'jane@example.org', 'jane@example.org', 1001),
  ('south', 1, 'mary@example.org', '4321', 1001.5), ('south', 2, 'x', null, 1000), ('east', 1, null, null, null);
