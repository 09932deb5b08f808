create table "t) as r; --" (id int primary key, "a""b" text);
insert into "t) as r; --" values (5, 'false'), (6, 'same');
