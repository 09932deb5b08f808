delete from pass where run = $1
