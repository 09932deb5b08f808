select name, value from secret
