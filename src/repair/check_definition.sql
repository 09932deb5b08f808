DECLARE
  changed text;
BEGIN
  -- What everything here rests on.
  SELECT pg_catalog.string_agg(what, ', ' ORDER BY what)
  INTO changed
  FROM (
{definition}
  ) AS d
  FULL JOIN pg_catalog.jsonb_each_text({known}) AS m(what, how) USING (what)
  WHERE ROW(d.how)::record OPERATOR(pg_catalog.*<>) ROW(m.how)::record;
  IF changed IS NOT NULL THEN
    RAISE EXCEPTION 'pgreconcile: table % was changed since the repair was made: %; nothing was changed',
      {table}, changed USING ERRCODE = '{GUARD}', HINT = 'Compare again and make a new one.';
  END IF;
END
