select scope, mapping, place, range, rows, verified_at, verified_by, checksum
from coverage
