-- A table that stands for a VACUUM that is still to be done, which no transaction can hold.
create table vacuum_due (since_version integer);
