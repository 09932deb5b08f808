select number, id, started_at, record, summary
from run
