create table t (k text not null, at timestamptz not null, n numeric not null, s text not null, v int, primary key (k, at, n, s));
insert into t values
  ('a', '2026-01-01 00:00:00.7+00', 1, '', 1),
  ('b', '2026-01-01 00:00:00+00', 1.0499, '', -2),
  (' c ', '2026-01-01 00:00:00.3+00', 0.95, 'x', 3),
  ('d', '2026-01-01 00:00:00+00', 1, '', 4),
  ('e', '2026-01-01 00:00:00.9+00', 1, 'x', 5);
