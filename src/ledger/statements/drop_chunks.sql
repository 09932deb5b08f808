delete from chunk
