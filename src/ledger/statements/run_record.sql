select record from run where number = $1
