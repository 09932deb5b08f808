-- The tables of that program.
create table secret (
    name text primary key,
    value blob not null
);

-- One row a run. Records are kept as they were told, so that a run can be told again.
create table run (
    number integer primary key,
    id text not null unique,
    verb text not null,
    spec text not null,
    spec_hash text not null,
    scope text not null,
    started_at text not null,
    record text not null,
    findings integer not null default 0,
    summary text
);

create table mapping (
    run integer not null,
    place integer not null,
    record text not null,
    primary key (run, place)
) without rowid;

create table undecided (
    run integer not null,
    place integer not null,
    record text not null,
    primary key (run, place)
) without rowid;

-- identity: which difference it is, whatever its values; the same in every run of one scope.
-- image: a keyed hash of the values, to tell whether they are still the same.
create table finding (
    run integer not null,
    place integer not null,
    identity blob not null,
    image text not null,
    mapping text not null,
    kind text not null,
    disposition text not null,
    first_seen text not null,
    runs integer not null,
    record text not null,
    primary key (run, place)
) without rowid;

create index finding_by_identity on finding (identity, run);
