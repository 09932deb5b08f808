create table t (id int primary key, n int8, at timestamp, atz timestamptz, of time, span interval, m money, lsn pg_lsn);
-- each value's upper and lower half, folded together, are those of its counterpart
insert into t values (1, 4294967291, null, null, null, null, null, null), (2, 4294967296, null, null, null, null, null, null),
 (3, 0, timestamp '2026-01-01 00:00:00' - interval '4294.967295 s', null, null, null, null, null),
 (4, 0, null, timestamptz '2026-01-01 00:00:00+00' - interval '4294.967295 s', null, null, null, null),
 (5, 0, null, null, time '00:00:01' + interval '4294.967297 s', null, null, null),
 (6, 0, null, null, null, interval '4294.967297 s', null, null),
 (7, 0, null, null, null, null, '42949672.91', null), (8, 0, null, null, null, null, null, '1/0');
