select run, place, identity, image, mapping, kind, disposition, first_seen, runs, record, checksum
from finding
where run = $1 and place > $2
order by place
limit 500
