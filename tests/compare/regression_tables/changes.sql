-- Single values are changed, and PostgreSQL itself says what was changed and where it shows.
--
-- A value becomes another value of its type, from anywhere in the database, or NULL, and NULL becomes a
-- value. What would only forbid changes goes; what a partition's bounds and a domain forbid stays.
set client_min_messages = warning;

-- The values of each type, as text.
create table yardstick.pool (type oid, nth int8, value text, primary key (type, nth));
-- What was changed, and what was not.
create table yardstick.changes (place oid, key int8, own_key json, col text, old text, new text);
create table yardstick.left_out (name text, col text, reason text);

do $$
declare
    it record;
begin
    -- Parents before their children, who have what they have from them.
    for it in
        select format('drop index if exists %s cascade', indexrelid::regclass) as sql
        from yardstick.tables join pg_index on indrelid = oid
        where not exists (select from pg_constraint where conindid = indexrelid)
            and not exists (select from pg_inherits where inhrelid = indexrelid)
    loop
        execute it.sql;
    end loop;
    -- What a child has inherited is its own when its parent has it no more.
    for generation in 1..2 loop
        for it in
            select format('alter table %s drop constraint if exists %I cascade', name, conname) as sql
            from yardstick.tables t join pg_constraint on conrelid = t.oid
            where conname !~ '_yardstick_key_key$' and coninhcount = 0 and conparentid = 0
            order by contype = 'f' desc
        loop
            execute it.sql;
        end loop;
    end loop;
    for it in
        select format('alter table %s alter %I ', name, attname) as sql, attidentity, attgenerated
        from yardstick.tables join pg_attribute on attrelid = oid
        where attnum > 0 and not attisdropped and attname <> 'yardstick_key'
            and (attidentity <> '' or attinhcount = 0 and (attnotnull or attgenerated <> ''))
    loop
        if it.attidentity <> '' then execute it.sql || 'drop identity'; end if;
        if it.attgenerated <> '' then execute it.sql || 'drop expression'; end if;
        execute it.sql || 'drop not null';
    end loop;
end
$$;

-- At most so many values of each column, and all of them for its type.
create function yardstick.fill_pool(few int8) returns void language plpgsql as $$
declare
    c record;
begin
    create temp table found (type oid, value text);
    for c in select * from yardstick.columns where relkind = 'r' loop
        execute format(
            'insert into pg_temp.found select %1$s, v from (select distinct format(''%%s'', %2$I) as v
             from only %3$s where num_nonnulls(%2$I) = 1 limit %4$s) s', c.type, c.col, c.name, few);
    end loop;
    insert into yardstick.pool
        select type, row_number() over (partition by type order by md5(value)) - 1, value
        from (select distinct type, value from pg_temp.found) s;
    drop table pg_temp.found;
end
$$;

-- Changes one value of each of at most so many rows of a table; which column it is goes round. By a
-- table's own key, the columns of that key are spared, and those of parents and children.
create function yardstick.change(round int8, rows int8, own boolean) returns void
language plpgsql as $$
declare
    t record;
    r record;
    c yardstick.columns;
    known int8;
    new_value text;
    reason text;
    done yardstick.changes;
begin
    for t in
        select place, name, case when own then plain_columns else columns end as columns,
            case when own then (
                select format('json_build_object(%s)',
                    string_agg(format('%L, format(''%%s'', x.%I)', k, k), ', '))
                from unnest(own_key) k
            ) else 'null' end as own_key
        from yardstick.columns
        where relkind = 'r' and nth = 0
            -- In a wide table the rows are further apart, so that it takes fewer rounds.
            and case when columns > 100 then (columns - 1) / rows + 1
                when own then plain_columns else columns end > round
            and (not own or own_key is not null
                and not exists (select from pg_inherits where inhrelid = place))
    loop
        if exists (select from pg_attribute where attrelid = t.place and attgenerated <> '') then
            insert into yardstick.left_out
                select name, col, 'a column is generated that its parent''s is not'
                from yardstick.columns where place = t.place;
            continue;
        end if;
        for r in execute format(
            'select key, nth / step as nth from (select yardstick_key as key,
                 row_number() over (order by yardstick_key) - 1 as nth,
                 (count(*) over () - 1) / %s + 1 as step from only %s) s
             where nth %% step = 0', rows, t.name)
        loop
            select * into c from yardstick.columns
                where place = t.place
                    and nth = (r.nth * ((t.columns - 1) / rows + 1) + round) % t.columns;
            select count(*) into known from yardstick.pool where type = c.type;
            done := null;
            reason := 'no other value of its type is in the database';
            -- The last that is tried is NULL, for every fourth value it is the first; a value that
            -- another row of the table has keeps within the bounds of a partition.
            for attempt in 0..4 loop
                new_value := null;
                if attempt = 3 then
                    execute format(
                        'select format(''%%s'', y.%1$I) from only %2$s x, only %2$s y
                         where x.yardstick_key = %3$s and num_nonnulls(y.%1$I) = 1 and %4$s limit 1',
                        c.col, c.name, r.key,
                        format(c.differs, format('x.%I', c.col), format('y.%I', c.col))
                    ) into new_value;
                    continue when new_value is null;
                elsif attempt < 3 and known > 0 and (attempt > 0 or r.nth % 4 <> 3) then
                    select value into new_value from yardstick.pool
                        where type = c.type and nth = (r.nth + attempt) % known;
                end if;
                begin
                    execute format(
                        'with before as (select yardstick_key as key, %1$I as v from only %2$s
                             where yardstick_key = %3$s)
                         update only %2$s x set %1$I = %4$L::%5$s from before
                         where x.yardstick_key = before.key and %6$s
                         returning %7$s, before.key, %8$s, %9$L,
                             case when num_nonnulls(before.v) = 1 then format(''%%s'', before.v) end,
                             case when num_nonnulls(x.%1$I) = 1 then format(''%%s'', x.%1$I) end',
                        c.col, c.name, r.key, new_value, c.cast_to,
                        format(c.differs, format('x.%I', c.col),
                            format('%L::%s', new_value, c.cast_to)),
                        t.place, t.own_key, c.col) into done;
                exception when others then
                    reason := sqlerrm;
                end;
                exit when done.key is not null;
            end loop;
            if done.key is null then
                insert into yardstick.left_out values (t.name, c.col, reason);
            else
                insert into yardstick.changes select done.*;
            end if;
        end loop;
    end loop;
end
$$;

-- Takes the changes back.
create function yardstick.restore() returns void language plpgsql as $$
declare
    h record;
begin
    for h in select * from yardstick.changes join yardstick.columns using (place, col) loop
        execute format('update only %s set %I = %L::%s where yardstick_key = %s',
            h.name, h.col, h.old, h.cast_to, h.key);
    end loop;
    delete from yardstick.changes;
    delete from yardstick.left_out;
end
$$;

-- A value as a finding shows it: of a large one the beginning, size and hash.
create function yardstick.told(v text) returns text language sql immutable as $$
    select case when octet_length(v) > 65536 then format('%s… (%s bytes, sha256 %s)', left(v, 1000),
        octet_length(v), encode(sha256(convert_to(v, 'UTF8')), 'hex')) else v end
$$;

-- Where a change shows: in its table and in those that it inherits from, as far as they have the column.
create view yardstick.shown as
    with recursive up (place, oid) as (
        select oid, oid from yardstick.tables
        union
        select up.place, inhparent from up join pg_inherits on inhrelid = up.oid
    )
    select c.name, h.own_key as key, h.col, yardstick.told(h.old) as old, yardstick.told(h.new) as new
    from yardstick.changes h join yardstick.columns c using (place, col)
    where h.own_key is not null
    union all
    select c.name, json_build_object('yardstick_key', h.key::text), h.col,
        yardstick.told(h.old), yardstick.told(h.new)
    from yardstick.changes h join up using (place)
    join yardstick.columns c on c.place = up.oid and c.col = h.col
    where h.own_key is null;

select yardstick.fill_pool(20);
