select number from run limit 1
