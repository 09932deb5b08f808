-- What only a database has: the leases of the run that was killed, which end as they did then, and its shard.

insert into pgreconcile.lease (spec, holder, until) values ('run k 01M8KKN02FKY2GKW122YBWXEB1', '01M8KKN02FKY2GKW122YBWXEB1', '2026-11-29 12:15:05.103805+00');
insert into pgreconcile.lease (spec, holder, until) values ('test', 'run k', '2026-11-29 12:15:05.104545+00');
insert into pgreconcile.lease (spec, holder, until) values ('settling 3', '01M8KKN02FKY2GKW122YBWXEB1', '2026-11-29 12:15:05.323807+00');
insert into pgreconcile.shard (run, mapping, place, range, holder, until, turn, done, checksum) values (3, 't', 0, '\x0000', '01M8KKN02FKY2GKW122YBWXEB1', NULL, 1, true, '\x5b887ac3e74fa6c1e7361279a756c6e3');
