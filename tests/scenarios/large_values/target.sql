create table t (id int primary key, v text, b bytea);
alter table t alter v set storage external, alter b set storage external;
insert into t values (1, repeat('a', 69999) || 'b', null), (2, repeat('é', 40000), convert_to(repeat('z', 70001), 'UTF8')), (3, 'pgreconcile-large:', 'short');
