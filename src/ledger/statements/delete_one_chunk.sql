delete from chunk where run = $1 and mapping = $2 and place = $3
