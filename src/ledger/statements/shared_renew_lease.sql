update lease
set until = clock_timestamp() + interval '30 s'
where kind = $1 and spec = $2 and holder = $3
returning holder
