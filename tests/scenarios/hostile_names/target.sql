create schema "select";
create table "select"."from" ("k""ey" int primary key, "$1" text, "a'b\c" text, "new
line" text, "üñí" text);
insert into "select"."from" values
  (1, '''; drop table x; --', 'a\', E'tab\t\n', 'x:not'), (2, '$$', '''', '{}', null), (3, '%s', ':v', '--', '/*:not2');
