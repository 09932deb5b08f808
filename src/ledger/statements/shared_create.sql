-- Two processes that begin at once make the tables once: the second waits for the first, and finds
-- them. A connection learns what others have made since it began only where it locks a table: not
-- while it waits for an advisory lock, and a pooler's remembers from before that there is no schema.
-- One that is there is not asked for again, which would take the right to make one.
select pg_catalog.pg_advisory_xact_lock(7309475736013172580);
lock table pg_catalog.pg_namespace in access share mode;
do $make$
begin
    if pg_catalog.to_regnamespace('pgreconcile') is null then
        create schema pgreconcile;
    end if;
end
$make$;
