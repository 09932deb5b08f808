create schema tracking;
create type tracking.status as enum ('done', 'new');
create table tracking.shipment (shipment_id int8 primary key, tracking_number text, weight_grams int8,
  tags text[], full_name text, status tracking.status, ingested_at timestamptz default now());
insert into tracking.shipment values
  (1, 'T1', 1500, '{b,a}', 'Ada L', 'new'), (2, 'T2', 2, '{b,c}', 'Bob M', 'new'),
  (3, 'T3', 2250, '{c}', 'Cy N', 'new'), (4, 'T-4', null, null, null, 'done');
