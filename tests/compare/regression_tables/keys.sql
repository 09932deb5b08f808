-- Every table of the regression database gets a key that no test thought of: one sequence numbers all
-- rows of all tables, so that a parent shows each of its children's rows once.
set session_replication_role = replica;
create schema yardstick;
create sequence yardstick.keys;
create view yardstick.tables as
    select c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) as name,
        -- The key that a test gave it. A parent's index proves nothing of its children.
        (
            select array(
                select a.attname::text from pg_attribute a
                where a.attrelid = c.oid
                    and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                order by a.attnum
            )
            from pg_index i
            where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indisvalid
                and i.indpred is null and i.indexprs is null
                and not exists (
                    select from pg_attribute a
                    where a.attrelid = c.oid
                        and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                        and (not a.attnotnull or a.attname = 'yardstick_key')
                )
                and (c.relkind = 'p' or not exists (select from pg_inherits where inhparent = c.oid))
            order by not i.indisprimary, i.indnkeyatts, i.indexrelid
            limit 1
        ) as own_key
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence <> 't'
        and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'yardstick');

do $$
declare
    t record;
begin
    -- What was published says which updates may be made.
    for t in select pubname from pg_publication loop
        execute format('drop publication %I', t.pubname);
    end loop;
    for t in select evtname from pg_event_trigger loop
        execute format('drop event trigger %I', t.evtname);
    end loop;
    for t in select name from yardstick.tables join pg_class using (oid) where reloftype <> 0 loop
        execute format('alter table %s not of', t.name);
    end loop;
    -- Rows that an unproven constraint forbids can be read, but not updated.
    for t in
        select conrelid::regclass as name, conname from pg_constraint
        where contype = 'c' and conrelid <> 0 and not convalidated and coninhcount = 0
    loop
        execute format('alter table %s drop constraint %I', t.name, t.conname);
    end loop;
    -- A child has its parent's key.
    for t in
        select name from yardstick.tables
        where not exists (select from pg_inherits where inhrelid = oid)
    loop
        execute format('alter table %s add column yardstick_key int8', t.name);
    end loop;
    -- An empty table gets a row of its defaults, if it takes one, and a wide table many.
    for t in
        select name, case when relnatts > 100 then 64 else 1 end as few
        from yardstick.tables y join pg_class using (oid) where y.relkind = 'r'
    loop
        begin
            execute format(
                'do $it$ begin
                     for n in 1..%2$s - (select count(*) from (select from only %1$s limit 64) s) loop
                         insert into %1$s default values;
                     end loop;
                 end $it$', t.name, t.few);
        exception when others then
            null;
        end;
    end loop;
    for t in select name from yardstick.tables where relkind = 'r' loop
        execute format(
            'update only %s set yardstick_key = nextval(''yardstick.keys'')', t.name);
    end loop;
    -- An index serves the key where it can prove it; without one a table is read in one pass.
    for t in
        select name from yardstick.tables
        where relkind = 'r' and hashtext(name) % 4 <> 0
            and not exists (select from pg_inherits where oid in (inhrelid, inhparent))
            and not exists (select from pg_index i where i.indrelid = oid and i.indisunique)
    loop
        execute format('alter table %s add unique (yardstick_key),
                        alter yardstick_key set not null', t.name);
    end loop;
end
$$;
analyze;
