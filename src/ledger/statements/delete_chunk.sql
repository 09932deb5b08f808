delete from chunk where run = $1
