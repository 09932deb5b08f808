select number, findings
from run
order by number desc
