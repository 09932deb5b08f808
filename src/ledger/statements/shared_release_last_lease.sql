-- Deletes the lease of a spec unless another process of the run ($4) is alive.
delete from lease
where kind = $1 and spec = $2 and holder = $3
and not exists (select from lease as other where other.kind = 'process' and other.run = $4)
returning spec
