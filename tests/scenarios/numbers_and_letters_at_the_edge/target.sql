create table t (id int primary key, b int8, s text, f float8, d date, ts timestamptz, y bytea);
insert into t values (1, 9223372036854775806, 'Strasse', 0.1, '0001-01-01', 'infinity', '\x00'),
  (2, -9223372036854775808, U&'NFC e\0301', 0.3, '0044-03-14 BC', '-infinity', '\x'),
  (3, 0, 'trailing', 1e-323, '5874897-12-31', '294276-12-31 23:59:59.999998+00', '\xdeadbeee');
