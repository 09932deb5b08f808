delete from run where number = $1
