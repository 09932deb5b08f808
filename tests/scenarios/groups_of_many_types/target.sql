create type mood as enum ('wild', 'calm');
create table t (id int primary key, b bool, n numeric(10,3), iv interval, ad inet, ch varchar(8), e mood, u uuid, at timestamptz, v int);
insert into t values
  (1, true, 1, '1 day', '10.0.0.1', 'a', 'calm', '00000000-0000-0000-0000-000000000001', '2026-01-01 00:00+00', 1),
  (2, false, 1, '24:00:00', '10.0.0.1/32', 'a', 'wild', '00000000-0000-0000-0000-000000000001', '2026-01-01 00:00+00', 2),
  (3, null, null, null, null, null, null, null, null, 1);
