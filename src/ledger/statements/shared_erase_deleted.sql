-- Deleted rows stay in a table's file until their place is used again. A table that is rewritten has a
-- new file, without them, when the transaction commits.
alter table coverage alter column range type bytea using range || ''::bytea;
alter table chunk alter column range type bytea using range || ''::bytea;
alter table shard alter column range type bytea using range || ''::bytea;
alter table ruling alter column ruled type bytea using ruled || ''::bytea;
alter table pass alter column state type bytea using state || ''::bytea;
