-- In the ledger's order: by when each ended, or if it has no end, when it last began or went on.
select number, verb, scope, record, summary
from run
where spec = $1
order by coalesce(ended, began, 0), number
