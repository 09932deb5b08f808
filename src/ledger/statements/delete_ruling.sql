delete from ruling where run = $1
