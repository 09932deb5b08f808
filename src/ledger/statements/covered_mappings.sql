select distinct mapping
from coverage
where scope = $1
order by mapping
