create table t (id int primary key, a text, b text, c text);
insert into t values (1, '', null, null), (2, null, '', ''), (3, null, null, null), (4, ' ', '0', 'x'), (5, '', '', '');
