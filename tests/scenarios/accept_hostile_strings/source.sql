create table "t) as r; --" (id int primary key, "a""b" text);
insert into "t) as r; --" values (1, ') or (true'), (2, $x$'; -- "$x$), (3, $x$'); drop table t; --$x$), (4, 'a:word'), (5, 'true'), (6, 'same');
