delete from lease where spec = $1 and holder = $2
returning spec
