create type filler1 as enum ('x');
create type filler2 as (a int);
create type mood as enum ('ok', 'happy', 'sad');
create domain feeling as mood;
create type pair as (m mood, n int);
create table t (id int primary key, m mood, f feeling, ms mood[], p pair);
insert into t values (1, 'ok', 'sad', '{sad,ok}', '(ok,1)'), (2, 'happy', null, null, null), (3, 'ok', 'happy', '{sad}', '(sad,2)');
