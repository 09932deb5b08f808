-- Version 3 of the tables in a PostgreSQL database. The file's schema has what each is for.

alter table pgreconcile.run add column began bigint;
alter table pgreconcile.run add column ended bigint;

create table pgreconcile.numbering (
    name text primary key,
    last bigint not null
);

alter table pgreconcile.coverage add column verified_by bigint;

alter table pgreconcile.secret add column checksum bytea;
alter table pgreconcile.run add column checksum bytea;
alter table pgreconcile.mapping add column checksum bytea;
alter table pgreconcile.undecided add column checksum bytea;
alter table pgreconcile.finding add column checksum bytea;
alter table pgreconcile.terms add column checksum bytea;
alter table pgreconcile.chunk add column checksum bytea;
alter table pgreconcile.shard add column checksum bytea;
alter table pgreconcile.ruling add column checksum bytea;
alter table pgreconcile.pass add column checksum bytea;
alter table pgreconcile.coverage add column checksum bytea;
