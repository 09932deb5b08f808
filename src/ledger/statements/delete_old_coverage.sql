delete from coverage
where scope not in (select scope from run)
