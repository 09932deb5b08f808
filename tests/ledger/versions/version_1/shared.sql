-- The same tables in a database.
create schema pgreconcile;

create table pgreconcile.version (
    number bigint not null
);

create table pgreconcile.secret (
    name text primary key,
    value bytea not null
);

create table pgreconcile.run (
    number bigint generated always as identity primary key,
    id text not null unique,
    verb text not null,
    spec text not null,
    spec_hash text not null,
    scope text not null,
    started_at text not null,
    record text not null,
    findings bigint not null default 0,
    summary text
);
create index run_by_spec on pgreconcile.run (spec, number);

create table pgreconcile.mapping (
    run bigint not null,
    place bigint not null,
    record text not null,
    primary key (run, place)
);

create table pgreconcile.undecided (
    run bigint not null,
    place bigint not null,
    record text not null,
    primary key (run, place)
);

create table pgreconcile.finding (
    run bigint not null,
    place bigint not null,
    identity bytea not null,
    image text not null,
    mapping text not null,
    kind text not null,
    disposition text not null,
    first_seen text not null,
    runs bigint not null,
    record text not null,
    primary key (run, place)
);
create index finding_by_identity on pgreconcile.finding (identity, run);

-- Who may run a spec, and until when; renewed as long as the holder lives.
create table pgreconcile.lease (
    spec text primary key,
    holder text not null,
    until timestamptz not null
);

insert into pgreconcile.version (number) values (1);
