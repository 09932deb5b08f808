create table t (id int primary key, b int8, s text, f float8, d date, ts timestamptz, y bytea);
insert into t values (1, 9223372036854775807, 'Straße', 0.1, '0001-01-01', 'infinity', '\x00'),
  (2, -9223372036854775808, 'NFC é', 0.30000000000000004, '0044-03-15 BC', '-infinity', ''),
  (3, 0, 'trailing ', 5e-324, '5874897-12-31', '294276-12-31 23:59:59.999999+00', '\xdeadbeef');
