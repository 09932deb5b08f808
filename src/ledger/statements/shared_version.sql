select max(number) as version from version
