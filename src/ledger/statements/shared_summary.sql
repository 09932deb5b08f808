select summary from run where number = $1
