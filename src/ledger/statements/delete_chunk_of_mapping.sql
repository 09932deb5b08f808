delete from chunk where run = $1 and mapping = $2
