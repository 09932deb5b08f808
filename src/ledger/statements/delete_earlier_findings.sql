delete from finding where run = $1 and place < $2
