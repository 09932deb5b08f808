delete from ruling
