select holder from lease where spec = $1 and holder = $2 for update
