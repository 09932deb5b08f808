create table shipments_shipment (id serial primary key, tracking_no varchar(20) not null,
  weight_kg numeric(8, 3), tags text, first_name text, last_name text, status varchar(10), legacy_blob bytea);
insert into shipments_shipment values
  (1, 'T1', 1.500, 'a,b', 'Ada', 'L', 'new', '\x00'), (2, 'T2', 0.001, 'b,c', 'Bob', 'M', 'new', null),
  (3, 'T3', 2.250, 'c', 'Cy', 'N', 'done', null), (4, 'T4', null, null, 'Di', null, 'done', null);
