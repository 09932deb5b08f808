create table t (number int, region text collate "C", note text, primary key (region, number));
insert into t select n, r, n || r from generate_series(1, 20) n, unnest('{a,b,ü}'::text[]) r;
