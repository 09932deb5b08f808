DECLARE
  patience timestamptz := pg_catalog.clock_timestamp() + '3s'::interval;
BEGIN
  LOOP
    BEGIN{locks}
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      IF pg_catalog.clock_timestamp() > patience THEN
        RAISE;
      END IF;
    END;
    PERFORM pg_catalog.pg_sleep(0.05 * pg_catalog.random());
  END LOOP;
END
