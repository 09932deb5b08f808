delete from undecided where run = $1 and place < $2
