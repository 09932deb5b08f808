select run, mapping, place, ruled, checksum
from ruling
where run = $1 and mapping = $2
