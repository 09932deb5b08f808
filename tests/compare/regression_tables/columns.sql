-- Every column that is compared, and how PostgreSQL tells two of its values apart.
create table yardstick.columns as
    select t.oid as place, t.name, t.relkind, t.own_key, a.attname::text as col, a.atttypid as type,
        format_type(a.atttypid, a.atttypmod) as cast_to,
        -- Those of the table's own key are the last.
        row_number() over (partition by t.oid order by k.is_key, a.attnum) - 1 as nth,
        count(*) over (partition by t.oid) as columns,
        count(*) filter (where not k.is_key) over (partition by t.oid) as plain_columns,
        -- Values that are one number, or one text but for its padding, are equal.
        case
            when base.oid in ('numeric'::regtype, 'float4'::regtype, 'float8'::regtype)
                then '%1$s is distinct from %2$s'
            when base.oid = 'bpchar'::regtype then '%1$s::text is distinct from %2$s::text'
            else 'record_image_ne(row(%1$s), row(%2$s))'
        end as differs
    from yardstick.tables t
    join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    cross join lateral (select coalesce(a.attname = any (t.own_key), false) as is_key) k
    cross join lateral (
        with recursive down (oid) as (
            select a.atttypid
            union all
            select d.typbasetype from pg_type d join down using (oid) where d.typtype = 'd'
        )
        select oid from pg_type join down using (oid) where typtype <> 'd'
    ) base
    where a.attname <> 'yardstick_key';
alter table yardstick.columns add primary key (place, nth);
