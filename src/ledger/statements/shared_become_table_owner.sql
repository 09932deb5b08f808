-- All tables must have the same owner, whichever of its members adds new ones. A role that is no member
-- may not add any.
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
