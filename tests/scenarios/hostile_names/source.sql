create schema "we""ird sch$ema";
create table "we""ird sch$ema"."ta;ble" (id int primary key, ":param" text, "a'b\c" text, "sp ace" text, "üñí" text);
insert into "we""ird sch$ema"."ta;ble" values
  (1, '''; drop table x; --', 'a\', E'tab\t\n', 'x'), (2, '$$', '"', '{}', null), (3, '%s', ':v', '--', '/*');
