update run
set findings = (select count(*) from finding where finding.run = run.number)
