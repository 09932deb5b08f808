-- Version 2 of the tables in a PostgreSQL database.
create table pgreconcile.terms (
    run bigint primary key,
    record text not null
);

create table pgreconcile.chunk (
    run bigint not null,
    mapping text not null,
    place bigint not null,
    range bytea not null,
    rows bigint not null,
    matched bigint not null,
    state text not null,
    outcome bytea not null,
    primary key (run, mapping, place)
);

-- A part of a mapping, who compares it, until when the lease holds, and which of its leases it is.
create table pgreconcile.shard (
    run bigint not null,
    mapping text not null,
    place bigint not null,
    range bytea not null,
    holder text,
    until timestamptz,
    turn bigint not null default 0,
    done boolean not null default false,
    primary key (run, mapping, place)
);

create table pgreconcile.ruling (
    run bigint not null,
    mapping text not null,
    place bytea not null,
    ruled bytea not null,
    primary key (run, mapping, place)
);

create table pgreconcile.pass (
    run bigint not null,
    mapping text not null,
    state bytea not null,
    primary key (run, mapping)
);

create table pgreconcile.coverage (
    scope text not null,
    mapping text not null,
    place bigint not null,
    range bytea not null,
    rows bigint not null,
    verified_at text not null,
    primary key (scope, mapping, place)
);
