vacuum;
drop table vacuum_due;
