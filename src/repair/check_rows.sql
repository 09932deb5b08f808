DECLARE
  n bigint;
  bad bigint;
  gone bigint;
  keys text;
BEGIN
  -- OFFSET keeps each row's images from being compared more than once.
  SELECT pg_catalog.count(*),
    pg_catalog.count(*) FILTER (WHERE x.wrong),
    pg_catalog.count(*) FILTER (WHERE x.gone),
    pg_catalog.left(pg_catalog.string_agg(ROW({keys})::text, ', ') FILTER (WHERE x.wrong), 200)
  INTO n, bad, gone, keys
  FROM (
    SELECT {fields},
      {wrong} AS wrong,
      t.tableoid IS NULL AS gone
    FROM {relation} AS u
    LEFT JOIN {table} AS t ON {same_key}
    OFFSET 0
  ) AS x;
  IF bad OPERATOR(pg_catalog.>) 0 OR n OPERATOR(pg_catalog.<>) {count} THEN
    RAISE EXCEPTION 'pgreconcile: % NOT applied: % of {count} rows are not as intended (% gone, % found); nothing was changed',
      {what}, bad, gone, n - gone
      USING ERRCODE = '{GUARD}', DETAIL = 'keys: ' || coalesce(keys, 'none'),
      HINT = 'Data changed since the report, a trigger rewrote it, or another unique index holds the value. Compare again and make a new script.';
  END IF;
END
