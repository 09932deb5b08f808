delete from mapping where run = $1
