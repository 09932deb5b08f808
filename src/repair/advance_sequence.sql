BEGIN
  PERFORM pg_catalog.setval({name}::regclass, x.furthest)
  FROM {sequence} AS s,
    pg_catalog.pg_sequence AS q,
    LATERAL (
      SELECT CASE WHEN q.seqincrement > 0
        THEN pg_catalog.max(u.{field}) ELSE pg_catalog.min(u.{field}) END::bigint AS furthest
      FROM {relation} AS u
    ) AS x
  WHERE q.seqrelid = {name}::regclass
  AND x.furthest BETWEEN q.seqmin AND q.seqmax
  AND (
    CASE WHEN q.seqincrement > 0 THEN x.furthest > s.last_value ELSE x.furthest < s.last_value END
    OR x.furthest = s.last_value AND NOT s.is_called
  );
END
