update run set record = $1, began = $2, ended = null, summary = null where number = $3
