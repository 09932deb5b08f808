select max(number) from version
