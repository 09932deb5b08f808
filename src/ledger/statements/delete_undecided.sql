delete from undecided where run = $1
