-- Version 3: runs have a place in the ledger's own order, and stored values carry a checksum.

-- The numbers that the ledger gave the run when it began, and when it last ended.
alter table run add column began integer;
alter table run add column ended integer;

-- The last number that was given.
create table numbering (
    name text primary key,
    last integer not null
);

-- The number of the run that verified a part: which one is newer, verified_at does not tell.
alter table coverage add column verified_by integer;

-- A keyed hash of a row's values and of its place; null in rows that an older program wrote since.
alter table secret add column checksum blob;
alter table run add column checksum blob;
alter table mapping add column checksum blob;
alter table undecided add column checksum blob;
alter table finding add column checksum blob;
alter table terms add column checksum blob;
alter table chunk add column checksum blob;
alter table shard add column checksum blob;
alter table ruling add column checksum blob;
alter table pass add column checksum blob;
alter table coverage add column checksum blob;
