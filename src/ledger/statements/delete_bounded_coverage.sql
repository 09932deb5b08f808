-- Deletes coverage of ranges that have a bound. The binary form of a range without bounds begins with $1.
delete from coverage where substr(range, 1, 2) <> $1
