-- This table marks that a VACUUM is still to be done, which cannot run in a transaction.
create table vacuum_due (since_version integer);
