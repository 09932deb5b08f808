delete from finding where run = $1
