select scope, mapping, place, range, rows, verified_at, checksum
from coverage
