create table t (k text, at timestamptz, n numeric, s text, v int);
insert into t values
  (' a', '2026-01-01 00:00:00.1+00', 1.04, null, 1),
  ('b ', '2026-01-01 00:00:00.2+00', 1.0, '', 2),
  ('c', '2026-01-01 00:00:00+00', 1, 'x', 3),
  ('d', '2026-01-01 00:00:00+00', 1, '', 4),
  ('d ', '2026-01-01 00:00:00.9+00', 1, null, 4),
  ('e', '2026-01-01 00:00:01+00', 1, 'x', 5);
create unique index on t (k, at, n, s);
