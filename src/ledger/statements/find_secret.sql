select name, value, checksum from secret where name = $1
