create table t (id int primary key, a text, b int);
insert into t select n, 'v' || n, n from generate_series(1, 40) n;
update t set b = case id when 3 then 30 when 30 then 3 end where id in (3, 30);
update t set a = case id when 7 then 'v8' when 8 then 'v7' end where id in (7, 8);
