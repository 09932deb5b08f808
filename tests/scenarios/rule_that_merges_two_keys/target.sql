create table t (k text collate "C" primary key, v int);
insert into t values ('a', 1), ('b', 2), ('c', 4);
create table j (k text collate "C" primary key, v int);
insert into j values ('[1]', 1), ('[1] ', 1), ('[2,3]', 2), ('{"b": 2, "a": 1}', 0);
