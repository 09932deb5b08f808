create type mood as enum ('calm', 'wild');
create table t (id int primary key, b bool, n numeric, iv interval, ad inet, ch char(4), e mood, u uuid, at timestamptz, v int);
insert into t values
  (1, true, 1.0, '1 day', '10.0.0.1', 'a', 'calm', '00000000-0000-0000-0000-000000000001', '2026-01-01 00:00+00', 1),
  (2, false, 1.00, '24:00:00', '10.0.0.1/32', 'a', 'wild', '00000000-0000-0000-0000-000000000001', '2026-01-01 01:00+01', 1),
  (3, null, null, null, null, null, null, null, null, 1);
