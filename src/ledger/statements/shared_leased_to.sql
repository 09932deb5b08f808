select holder
from lease
where spec = $1 and until >= clock_timestamp()
