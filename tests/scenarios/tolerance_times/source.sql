create table t (id int primary key, d date, ts timestamp, tz timestamptz, ti time, tt timetz, iv interval, dd date);
insert into t values
  (1, '2026-01-01', '2026-01-01 00:00:00.5', '2026-01-01 00:00:00+00', '10:00:00', '10:00:00+01', '1 mon 1 day 00:00:01', '2026-01-01'),
  (2, '2026-01-01', '2026-01-01 00:00:00.500001', '2026-01-01 00:00:00+00', '10:00:00', '10:00:00+01', '1 mon 1 day 00:00:01', '2026-01-01'),
  (3, 'infinity', 'infinity', '-infinity', '24:00:00', '10:00:00+01', '1 day', 'infinity'),
  (4, 'infinity', 'infinity', '-infinity', '24:00:00', '10:00:00+01', '1 day', 'infinity'),
  (5, '0001-01-01 BC', '2026-01-01', '2026-01-01 01:00:00+01', '23:59:59.999999', '10:00:00+01', '-00:00:00.5', '2026-01-01'),
  (6, null, null, null, null, null, null, null);
