-- Coverage of ranges that have a bound; $1 is what the binary form of one without any begins with.
delete from coverage where substr(range, 1, 2) <> $1
