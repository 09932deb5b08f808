insert into finding
    (run, place, identity, image, mapping, kind, disposition, first_seen, runs, record, checksum)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
