create table t (number int, region text collate "C", note text, primary key (region, number));
insert into t select n, r, n || r from generate_series(1, 20) n, unnest('{a,b,ü}'::text[]) r;
delete from t where (region, number) in (('a', 20), ('ü', 1));
insert into t values (21, 'a', 'new'), (0, 'b', 'new');
update t set note = 'changed' where (region, number) = ('b', 7);
