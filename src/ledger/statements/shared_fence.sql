-- Fails if the lease is another's: a division by zero takes back all that is written with it.
select 1 / count(*) from lease where spec = $1 and holder = $2
