create table t (id int primary key, n int8, at timestamp, atz timestamptz, of time, span interval, m money, lsn pg_lsn);
insert into t values (1, -5, null, null, null, null, null, null), (2, 1, null, null, null, null, null, null),
 (3, 0, '2026-01-01 00:00:00', null, null, null, null, null), (4, 0, null, '2026-01-01 00:00:00+00', null, null, null, null),
 (5, 0, null, null, '00:00:01', null, null, null), (6, 0, null, null, null, '0', null, null),
 (7, 0, null, null, null, null, '-0.05', null), (8, 0, null, null, null, null, null, '0/1');
