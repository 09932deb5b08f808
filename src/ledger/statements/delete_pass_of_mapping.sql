delete from pass where run = $1 and mapping = $2
