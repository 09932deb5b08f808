update lease
set until = clock_timestamp() + interval '30 s'
where spec = $1 and holder = $2
returning holder
