-- Tables that are there have one owner, and so have those that are added, whichever of its members adds
-- them. Who is none has no right to.
do $own$
begin
    if pg_catalog.to_regclass('pgreconcile.version') is not null then
        execute (
            select pg_catalog.format('set local role %I', pg_catalog.pg_get_userbyid(c.relowner))
            from pg_catalog.pg_class as c
            where c.oid = pg_catalog.to_regclass('pgreconcile.version')
        );
    end if;
end
$own$;
