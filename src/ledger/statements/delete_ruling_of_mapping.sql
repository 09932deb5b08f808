delete from ruling where run = $1 and mapping = $2
