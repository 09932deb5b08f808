delete from coverage where scope = $1 and mapping = $2
