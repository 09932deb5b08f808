create type filler as enum ('a');
create type place as (city text, number int);
create type mood as enum ('sad', 'happy', 'ok');
create type floatrange as range (subtype = float8);
create domain code as varchar(4);
create domain feeling as mood;
create domain positive as int check (value > 0);
create table t (id int primary key,
  c_bool bool,
  c_int2 int2,
  c_int4 int4,
  c_int8 int8,
  c_numeric numeric,
  c_numeric_10_2 numeric(10,2),
  c_numeric_huge numeric,
  c_float4 float4,
  c_float8 float8,
  c_money money,
  c_text text,
  c_varchar varchar(10),
  c_bpchar char(5),
  c_internal_char "char",
  c_name name,
  c_bytea bytea,
  c_uuid uuid,
  c_date date,
  c_time time,
  c_time_3 time(3),
  c_timetz timetz,
  c_timestamp timestamp,
  c_timestamptz timestamptz,
  c_interval interval,
  c_interval_mon interval,
  c_inet inet,
  c_cidr cidr,
  c_macaddr macaddr,
  c_macaddr8 macaddr8,
  c_bit bit(4),
  c_varbit varbit,
  c_json json,
  c_jsonb jsonb,
  c_jsonpath jsonpath,
  c_xml xml,
  c_tsvector tsvector,
  c_tsquery tsquery,
  c_point point,
  c_line line,
  c_lseg lseg,
  c_box box,
  c_path path,
  c_polygon polygon,
  c_circle circle,
  c_pg_lsn pg_lsn,
  c_xid8 xid8,
  c_pg_snapshot pg_snapshot,
  c_regclass regclass,
  c_refcursor refcursor,
  c_int4range int4range,
  c_int8range int8range,
  c_numrange numrange,
  c_tsrange tsrange,
  c_tstzrange tstzrange,
  c_daterange daterange,
  c_int4multirange int4multirange,
  c_datemultirange datemultirange,
  c_int_array int4[],
  c_int_array_2d int4[],
  c_text_array text[],
  c_numeric_array numeric(6,2)[],
  c_jsonb_array jsonb[],
  c_timestamptz_array timestamptz[],
  c_int2vector int2vector,
  c_enum mood,
  c_enum_array mood[],
  c_domain positive,
  c_domain_enum feeling,
  c_domain_array positive[],
  c_composite place,
  c_composite_null place,
  c_composite_array place[],
  c_domain_text code,
  c_user_range floatrange);
insert into t select n,
  true::bool, -1::int2, -5::int4, 9007199254740993::int8, 1.10::numeric, 12345678.90::numeric(10,2), '1e300'::numeric, 1.1::float4, 0.1::float8, '12.34'::money, 'a'::text, 'Z'::varchar(10), 'a'::char(5), 'a'::"char", 'n'::name, '\x00ff'::bytea, '00000000-0000-0000-0000-000000000001'::uuid, '2026-11-22'::date, '10:00:00.000001'::time, '10:00:00.001'::time(3), '10:00+00'::timetz, '2026-11-22 10:00:00.000001'::timestamp, '2026-11-22 10:00:00+00'::timestamptz, '1 day'::interval, '1 mon'::interval, '10.0.0.1/8'::inet, '10.0.0.0/8'::cidr, '08:00:2b:01:02:03'::macaddr, '08:00:2b:01:02:03:04:05'::macaddr8, B'1010'::bit(4), B'1'::varbit, '{"a": 1}'::json, '{"a": [1, 2]}'::jsonb, '$.a'::jsonpath, '<a/>'::xml, 'a:1'::tsvector, 'a & b'::tsquery, '(1,2)'::point, '{1,-1,0}'::line, '[(0,0),(1,1)]'::lseg, '(1,1),(0,0)'::box, '[(0,0),(1,1)]'::path, '((0,0),(1,1),(1,0))'::polygon, '<(0,0),1>'::circle, '0/1'::pg_lsn, '1'::xid8, '1:2:'::pg_snapshot, 'pg_class'::regclass, 'a'::refcursor, '[1,3)'::int4range, '[1,3)'::int8range, '[1.0,2)'::numrange, '[2026-01-01,2026-01-02)'::tsrange, '[2026-01-01 00:00+00,)'::tstzrange, '[2026-01-01,2026-01-03)'::daterange, '{[1,3),[5,7)}'::int4multirange, '{}'::datemultirange, '{1,2}'::int4[], '{{1,2}}'::int4[], '{a,NULL}'::text[], '{1.5}'::numeric(6,2)[], array['1'::jsonb]::jsonb[], '{2026-01-01 00:00+00}'::timestamptz[], '1 2'::int2vector, 'ok'::mood, '{ok,sad}'::mood[], 1::positive, 'ok'::feeling, '{1}'::positive[], '(Rome,1)'::place, '(,)'::place, array['(a,1)'::place]::place[], 'A'::code, '[1,2)'::floatrange
from generate_series(1, 74) n;
update t set c_bool = false::bool where id = 1;
update t set c_int2 = 1::int2 where id = 2;
update t set c_int4 = 5::int4 where id = 3;
update t set c_int8 = 9007199254740992::int8 where id = 4;
update t set c_numeric = 1.101::numeric where id = 5;
update t set c_numeric_10_2 = 12345678.91::numeric(10,2) where id = 6;
update t set c_numeric_huge = '1e300'::numeric + 1::numeric where id = 7;
update t set c_float4 = 1.1000001::float4 where id = 8;
update t set c_float8 = 0.10000000000000002::float8 where id = 9;
update t set c_money = '-12.34'::money where id = 10;
update t set c_text = 'a '::text where id = 11;
update t set c_varchar = 'z'::varchar(10) where id = 12;
update t set c_bpchar = 'b'::char(5) where id = 13;
update t set c_internal_char = 'b'::"char" where id = 14;
update t set c_name = 'm'::name where id = 15;
update t set c_bytea = '\x00fe'::bytea where id = 16;
update t set c_uuid = '00000000-0000-0000-0000-000000000002'::uuid where id = 17;
update t set c_date = '2026-11-23'::date where id = 18;
update t set c_time = '10:00:00.000002'::time where id = 19;
update t set c_time_3 = '10:00:00.002'::time(3) where id = 20;
update t set c_timetz = '11:00+01'::timetz where id = 21;
update t set c_timestamp = '2026-11-22 10:00:00.000002'::timestamp where id = 22;
update t set c_timestamptz = '2026-11-22 10:00:00.000001+00'::timestamptz where id = 23;
update t set c_interval = '24:00:00'::interval where id = 24;
update t set c_interval_mon = '30 days'::interval where id = 25;
update t set c_inet = '10.0.0.1/9'::inet where id = 26;
update t set c_cidr = '10.0.0.0/9'::cidr where id = 27;
update t set c_macaddr = '08:00:2b:01:02:04'::macaddr where id = 28;
update t set c_macaddr8 = '08:00:2b:01:02:03:04:06'::macaddr8 where id = 29;
update t set c_bit = B'1011'::bit(4) where id = 30;
update t set c_varbit = B'10'::varbit where id = 31;
update t set c_json = '{"a":1}'::json where id = 32;
update t set c_jsonb = '{"a": [2, 1]}'::jsonb where id = 33;
update t set c_jsonpath = '$.b'::jsonpath where id = 34;
update t set c_xml = '<a></a>'::xml where id = 35;
update t set c_tsvector = 'a:2'::tsvector where id = 36;
update t set c_tsquery = 'a | b'::tsquery where id = 37;
update t set c_point = '(2,1)'::point where id = 38;
update t set c_line = '{1,-1,1}'::line where id = 39;
update t set c_lseg = '[(1,1),(0,0)]'::lseg where id = 40;
update t set c_box = '(2,1),(0,0)'::box where id = 41;
update t set c_path = '((0,0),(1,1))'::path where id = 42;
update t set c_polygon = '((0,0),(1,1),(2,0))'::polygon where id = 43;
update t set c_circle = '<(0,0),2>'::circle where id = 44;
update t set c_pg_lsn = '0/2'::pg_lsn where id = 45;
update t set c_xid8 = '4294967297'::xid8 where id = 46;
update t set c_pg_snapshot = '1:3:'::pg_snapshot where id = 47;
update t set c_regclass = 'pg_type'::regclass where id = 48;
update t set c_refcursor = 'b'::refcursor where id = 49;
update t set c_int4range = '[1,4)'::int4range where id = 50;
update t set c_int8range = '[2,3)'::int8range where id = 51;
update t set c_numrange = '[1.0,2]'::numrange where id = 52;
update t set c_tsrange = '(2026-01-01,2026-01-02)'::tsrange where id = 53;
update t set c_tstzrange = '[2026-01-01 00:00:01+00,)'::tstzrange where id = 54;
update t set c_daterange = '[2026-01-01,2026-01-04)'::daterange where id = 55;
update t set c_int4multirange = '{[1,3),[5,8)}'::int4multirange where id = 56;
update t set c_datemultirange = '{[2026-01-01,2026-01-02)}'::datemultirange where id = 57;
update t set c_int_array = '{2,1}'::int4[] where id = 58;
update t set c_int_array_2d = '{{1},{2}}'::int4[] where id = 59;
update t set c_text_array = '{a,"NULL"}'::text[] where id = 60;
update t set c_numeric_array = '{-1.5}'::numeric(6,2)[] where id = 61;
update t set c_jsonb_array = array['2'::jsonb]::jsonb[] where id = 62;
update t set c_timestamptz_array = '{2026-01-01 00:00:00.000001+00}'::timestamptz[] where id = 63;
update t set c_int2vector = '1 3'::int2vector where id = 64;
update t set c_enum = 'sad'::mood where id = 65;
update t set c_enum_array = '{sad,ok}'::mood[] where id = 66;
update t set c_domain = 2::positive where id = 67;
update t set c_domain_enum = 'sad'::feeling where id = 68;
update t set c_domain_array = '{2}'::positive[] where id = 69;
update t set c_composite = '(Rome,2)'::place where id = 70;
update t set c_composite_null = null where id = 71;
update t set c_composite_array = array['(a,)'::place]::place[] where id = 72;
update t set c_domain_text = 'a'::code where id = 73;
update t set c_user_range = '[1,2]'::floatrange where id = 74;
