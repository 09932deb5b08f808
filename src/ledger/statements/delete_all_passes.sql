delete from pass
