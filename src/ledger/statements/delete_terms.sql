delete from terms where run = $1
