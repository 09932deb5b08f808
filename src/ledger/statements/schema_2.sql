-- Version 2: where an interrupted run stands, and which part of each table was verified when.

-- What a run was asked and of which databases, to be held against what a resumption is asked.
create table terms (
    run integer primary key,
    record text not null
);

-- A chunk that was compared. state: clean, dirty, skipped (not in the sample), undecided.
-- range and outcome are in a binary form of this program's.
create table chunk (
    run integer not null,
    mapping text not null,
    place integer not null,
    range blob not null,
    rows integer not null,
    matched integer not null,
    state text not null,
    outcome blob not null,
    primary key (run, mapping, place)
) without rowid;

-- A part of a mapping in a run that many processes share; in a file there are none.
create table shard (
    run integer not null,
    mapping text not null,
    place integer not null,
    range blob not null,
    primary key (run, mapping, place)
) without rowid;

-- A range of one-sided rows that stood when it was looked at again; place is where it begins.
create table ruling (
    run integer not null,
    mapping text not null,
    place blob not null,
    ruled blob not null,
    primary key (run, mapping, place)
) without rowid;

-- How far a comparison by buckets has come, in a binary form of this program's.
create table pass (
    run integer not null,
    mapping text not null,
    state blob not null,
    primary key (run, mapping)
) without rowid;

-- Key ranges of a mapping that tile its keys, each with when all of it was last verified; empty if it
-- never was.
create table coverage (
    scope text not null,
    mapping text not null,
    place integer not null,
    range blob not null,
    rows integer not null,
    verified_at text not null,
    primary key (scope, mapping, place)
) without rowid;
