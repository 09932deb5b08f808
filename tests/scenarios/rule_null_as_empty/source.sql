create table t (id int primary key, a text, b char(3), c text);
insert into t values (1, null, '', null), (2, '', null, ''), (3, null, null, null), (4, null, null, 'x'), (5, null, 'a', null);
