-- Returns no row if another process has taken the lease over.
select holder
from lease
where kind = $1 and spec = $2 and holder = $3
