select number from run where number = $1 for update
