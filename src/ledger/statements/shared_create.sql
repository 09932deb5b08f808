-- Two processes that start at once create the tables once: the second waits for the first, and finds
-- them. A connection invalidates its catalog cache when it locks a table, but not while it waits for an
-- advisory lock, and that of a pooler may have cached earlier that there is no schema. An existing schema
-- is not created again, which would require the privilege to create one.
select pg_catalog.pg_advisory_xact_lock(7309475736013172580);
lock table pg_catalog.pg_namespace in access share mode;
do $make$
begin
    if pg_catalog.to_regnamespace('pgreconcile') is null then
        create schema pgreconcile;
    end if;
end
$make$;
