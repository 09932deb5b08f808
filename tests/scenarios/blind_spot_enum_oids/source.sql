create type mood as enum ('sad', 'ok', 'happy');
create domain feeling as mood;
create type pair as (m mood, n int);
create table t (id int primary key, m mood, f feeling, ms mood[], p pair);
insert into t values (1, 'ok', 'sad', '{sad,ok}', '(ok,1)'), (2, 'sad', null, null, null), (3, 'ok', 'ok', '{ok}', '(sad,1)');
