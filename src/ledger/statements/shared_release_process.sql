-- Deletes the lease of a process ($1), and those of processes of its run ($2) that have died.
delete from lease
where kind = 'process' and (spec = $1 or run = $2 and until < clock_timestamp())
returning spec
