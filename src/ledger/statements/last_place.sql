select coalesce(max(place), -1) as place
from (
    select max(place) as place from finding where run = $1
    union all
    select max(place) as place from undecided where run = $1
) as places
