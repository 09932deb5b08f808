-- Two processes that begin at once make the tables once: the second waits for the first, and finds
-- them. A schema that is there is not asked for again, which would take the right to make one.
select pg_catalog.pg_advisory_xact_lock(7309475736013172580);
do $make$
begin
    if pg_catalog.to_regnamespace('pgreconcile') is null then
        create schema pgreconcile;
    end if;
end
$make$;
