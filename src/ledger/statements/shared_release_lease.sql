delete from lease
where kind = $1 and spec = $2 and holder = $3
returning spec
