  -- Those that are there are held until the end.
  PERFORM 1
  FROM {parents} AS p
  WHERE EXISTS (SELECT FROM {rows} WHERE {refers})
  FOR KEY SHARE OF p;
  SELECT pg_catalog.count(*)
  INTO lost
  FROM {rows}
  WHERE ({counts})
  AND NOT EXISTS (SELECT FROM {parents} AS p WHERE {refers});
