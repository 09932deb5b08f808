//! Every type that PostgreSQL brings, with the values of its own regression tests that are easily taken
//! for each other. An identical copy in a database with other OIDs, collations and session defaults
//! shows no difference; each single value that changes shows exactly one.

use std::collections::BTreeMap;
use std::fmt::Write;

use pgreconcile::schema::Side;

use crate::support::{Outcome, Pair, strategies};

/// A type and values of it, no two neighbours alike (the first follows the last).
pub const TYPES: &[(&str, &[&str])] = &[
    ("bool", &["t", "f"]),
    ("\"char\"", &["a", "b", "\\377", ""]),
    ("name", &["asdfghjkl;", "343f%2a", "d34aaasdf", ""]),
    (
        "text",
        &[
            "",
            "a",
            "a ",
            "A",
            "ä",
            "a\u{308}",
            "NULL",
            "two\nlines",
            "tab\t",
            "'",
            "\\",
            "\u{1f680}",
        ],
    ),
    ("varchar(8)", &["a", "a ", "abcdefgh", ""]),
    ("char(4)", &["a", "ab", "abcd", ""]),
    ("bytea", &["\\x", "\\x00", "\\x0000", "\\xdeadbeef", "\\x5c78"]),
    ("int2", &["0", "1", "-1", "32767", "-32768"]),
    ("int4", &["0", "1", "-1", "2147483647", "-2147483648", "65536"]),
    (
        "int8",
        &["0", "-5", "4294967291", "4567890123456789", "-4567890123456789", "9223372036854775807"],
    ),
    (
        "numeric",
        &[
            "0",
            "1",
            "-1",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e-300",
            "1e300",
            "0.1",
            "0.10000000000000000001",
            "-34338492.215397047",
        ],
    ),
    ("numeric(10,2)", &["0", "1.10", "-1.10", "NaN", "99999999.99"]),
    (
        "float4",
        &[
            "0",
            "1004.3",
            "-34.84",
            "1.2345679e+20",
            "1.2345679e-20",
            "NaN",
            "Infinity",
            "-Infinity",
            "16777216",
            "1.1754944e-38",
        ],
    ),
    (
        "float8",
        &[
            "0",
            "1004.3",
            "-34.84",
            "1.2345678901234e+200",
            "1.2345678901234e-200",
            "5e-324",
            "NaN",
            "Infinity",
            "-Infinity",
            "0.1",
            "0.10000000000000002",
        ],
    ),
    ("money", &["0", "0.01", "-0.01", "123.45", "42949672.96", "92233720368547758.07"]),
    (
        "uuid",
        &[
            "11111111-1111-1111-1111-111111111111",
            "3f3e3c3b-3a30-3938-3736-353433a2313e",
            "22222222-2222-2222-2222-222222222222",
        ],
    ),
    (
        "date",
        &["2026-11-22", "infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "4714-11-24 BC"],
    ),
    ("time", &["00:00", "24:00", "23:59:59.999999", "02:03"]),
    ("time(3)", &["00:00", "10:00:00.001", "10:00:00.002"]),
    ("timetz", &["10:00+00", "11:00+01", "24:00-15:59", "00:00+00"]),
    (
        "timestamp",
        &[
            "2026-11-22 10:00",
            "2026-11-22 10:00:00.000001",
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
        ],
    ),
    (
        "timestamptz",
        &[
            "2026-11-22 10:00+00",
            "2026-11-22 11:11:34.967296+00",
            "2026-03-29 02:30+01",
            "infinity",
            "-infinity",
        ],
    ),
    (
        "interval",
        &[
            "0",
            "1 day",
            "24:00:00",
            "1 mon",
            "30 days",
            "-1 year 2 days",
            "178000000 years",
            "00:00:00.000001",
        ],
    ),
    ("interval day to second(3)", &["1 day 10:00:00.001", "1 day 10:00:00.002"]),
    (
        "inet",
        &["10.0.0.1", "10.0.0.1/8", "10.0.0.0/8", "::1", "::ffff:10.0.0.1", "10:23::8000/113"],
    ),
    ("cidr", &["10.0.0.0/8", "10.0.0.0/9", "10:23::f1/128", "10.1.2.3/32"]),
    ("macaddr", &["08:00:2b:01:02:03", "08:00:2b:01:02:04"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05", "08:00:2b:ff:fe:01:02:03"]),
    ("bit(4)", &["1010", "0101", "0000"]),
    ("varbit", &["", "0", "00", "101"]),
    (
        "json",
        &["1", " 1", "1.0", "{\"a\":1}", "{\"a\": 1}", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "null"],
    ),
    (
        "jsonb",
        &["1", "1.0", "{\"a\": 1}", "{\"a\": [1, 2]}", "{\"a\": [2, 1]}", "null", "\"null\""],
    ),
    ("jsonpath", &["$.a", "$.b", "strict $", "lax $[*] ? (@ > 1)"]),
    ("xml", &["<a/>", "<a></a>", "text", "<a b=\"1\"/>"]),
    ("tsvector", &["a:1", "a:2", "a", "a b", ""]),
    ("tsquery", &["a & b", "a | b", "!a", "a <-> b", "a:*", ""]),
    (
        "point",
        &["(0,0)", "(-10,0)", "(5.1,34.5)", "(1e-300,-1e-300)", "(NaN,NaN)", "(Infinity,1e+300)"],
    ),
    ("line", &["{0,-1,5}", "{1,0,5}", "{NaN,0,1}"]),
    ("lseg", &["[(1,2),(3,4)]", "[(3,4),(1,2)]", "[(0,0),(6,6)]"]),
    ("box", &["(2,2),(0,0)", "(3,3),(1,1)", "(4,1),(0,0)"]),
    ("path", &["[(1,2),(3,4)]", "((1,2),(3,4))", "[(0,0),(3,0),(4,5)]"]),
    ("polygon", &["((2,0),(2,4),(0,0))", "((2,4),(0,0),(2,0))", "((0,0))"]),
    ("circle", &["<(5,1),3>", "<(1,5),3>", "<(1,2),0>"]),
    ("pg_lsn", &["0/0", "0/1", "1/0", "FFFFFFFF/FFFFFFFF"]),
    ("xid8", &["0", "1", "4294967296", "18446744073709551615"]),
    ("pg_snapshot", &["1:2:", "12:20:13,15,18", "1:1:"]),
    ("txid_snapshot", &["1:2:", "12:18:14,16"]),
    ("regclass", &["pg_class", "pg_type"]),
    ("regtype", &["int4", "text", "pg_catalog.json"]),
    ("regproc", &["now", "pg_backend_pid"]),
    ("regprocedure", &["abs(int4)", "abs(int8)"]),
    ("regoper", &["||/", "|/"]),
    ("regoperator", &["+(int4,int4)", "+(int8,int8)"]),
    ("regconfig", &["english", "simple"]),
    ("regdictionary", &["simple", "english_stem"]),
    ("regnamespace", &["pg_catalog", "public"]),
    ("regrole", &["postgres", "reader"]),
    ("regcollation", &["\"C\"", "\"POSIX\""]),
    ("refcursor", &["a", "b"]),
    ("aclitem", &["postgres=r/postgres", "postgres=w/postgres"]),
    ("int2vector", &["1 2", "2 1", "1"]),
    ("oidvector", &["1 2", "2 1"]),
    ("int4range", &["empty", "[1,3)", "[1,4)", "(,)", "[1,)"]),
    ("int8range", &["empty", "[1,3)", "[4294967297,4294967299)"]),
    ("numrange", &["[1,2)", "(1,2]", "[-1,2)", "[1.0,2)", "empty", "(,)"]),
    ("tsrange", &["[2026-01-01,2026-01-02)", "[2026-01-01,2026-01-02]", "(,)"]),
    ("tstzrange", &["[2026-01-01 00:00+00,)", "[2026-01-01 01:00+00,)", "empty"]),
    ("daterange", &["[2026-01-01,2026-01-03)", "[2026-01-01,infinity]", "[2026-01-01,)"]),
    ("int4multirange", &["{}", "{[1,3)}", "{[1,3),[5,7)}", "{(,)}"]),
    ("int8multirange", &["{}", "{[1,3)}"]),
    ("nummultirange", &["{}", "{[1,3)}", "{[-1,3)}"]),
    ("tsmultirange", &["{}", "{[2026-01-01,2026-01-02)}"]),
    ("tstzmultirange", &["{}", "{[2026-01-01 00:00+00,)}"]),
    ("datemultirange", &["{}", "{[2026-01-01,2026-01-03)}"]),
    ("bool[]", &["{}", "{t}", "{f}", "{NULL}"]),
    ("int4[]", &["{}", "{1,2}", "{{1,2}}", "[0:1]={1,2}", "{1,NULL}", "{{{1}}}"]),
    ("int8[]", &["{-5}", "{4294967291}"]),
    ("text[]", &["{}", "{NULL}", "{\"NULL\"}", "{\"\"}", "{a,b}", "{\"a,b\"}", "{\"a\\\"b\"}"]),
    ("char(3)[]", &["{a}", "{b}", "{a,b}"]),
    ("numeric[]", &["{1.5}", "{-1.5}", "{NaN}"]),
    ("float8[]", &["{0.1}", "{0.10000000000000002}", "{NaN}"]),
    ("timestamptz[]", &["{\"2026-01-01 00:00+00\"}", "{\"2026-01-01 01:00+00\"}"]),
    ("jsonb[]", &["{1}", "{2}", "{\"null\"}", "{NULL}"]),
    ("point[]", &["{\"(1,2)\"}", "{\"(2,1)\"}"]),
    ("box[]", &["{(2,2),(0,0)}", "{(2,2),(0,0);(3,3),(1,1)}"]),
    ("xml[]", &["{<a/>}", "{<b/>}"]),
    ("bytea[]", &["{\"\\\\x00\"}", "{\"\\\\x0000\"}"]),
    ("interval[]", &["{\"1 day\"}", "{24:00:00}"]),
    ("numrange[]", &["{\"[1,2)\"}", "{\"[-1,2)\"}"]),
    ("mood", &["ok", "sad", "zzz"]),
    ("mood[]", &["{ok}", "{sad}", "{ok,sad}", "{NULL}"]),
    ("positive", &["1", "2"]),
    ("positive[]", &["{1}", "{2}"]),
    ("feeling", &["ok", "sad"]),
    ("place", &["(Rome,1)", "(Rome,2)", "(,)", "(\"\",1)", "(,1)"]),
    ("place[]", &["{\"(Rome,1)\"}", "{\"(Rome,2)\"}", "{NULL}"]),
    ("nested", &["(\"(a,1)\",\"{ok}\")", "(\"(a,2)\",\"{ok}\")", "(\"(a,1)\",\"{sad}\")"]),
    ("floatrange", &["[1,2)", "[1,3)", "empty"]),
    ("moodrange", &["[ok,sad]", "[sad,zzz]"]),
    ("citext", &["a", "A", "b"]),
    ("citext[]", &["{a}", "{A}"]),
    ("hstore", &["a=>1", "a=>2", "a=>NULL", "a=>\"NULL\"", ""]),
    ("ltree", &["a.b", "a.c", ""]),
    ("ltree[]", &["{a.b}", "{a.c}"]),
    ("lquery", &["a.*", "b.*"]),
    ("ltxtquery", &["a & b", "a | b"]),
    ("cube", &["(1, 2)", "(2, 1)", "(1, 2),(3, 4)"]),
    ("seg", &["1", "1.0", "1 .. 2"]),
    ("isbn13", &["978-0-393-04002-9", "978-0-11-000533-1"]),
    // Values that mean something within one database only are compared when they are asked for.
    ("oid", &["1", "2", "4294967295"]),
    ("xid", &["1", "2"]),
    ("cid", &["1", "2"]),
    ("tid", &["(0,1)", "(1,0)"]),
];

/// Types of the users' own; the target's have other OIDs.
pub const OWN: &str = "
    create extension citext; create extension hstore; create extension ltree;
    create extension cube; create extension seg; create extension isn;
    create type mood as enum ('ok', 'sad', 'zzz');
    create type place as (city text, number int);
    create type nested as (place place, moods mood[]);
    create domain positive as int check (value > 0);
    create domain feeling as mood;
    create type floatrange as range (subtype = float8);
    create type moodrange as range (subtype = mood);";

/// Session defaults under which values look and parse otherwise.
const DEFAULTS: &str = "
    do $$ declare setting text; begin
        foreach setting in array array['datestyle = ''German, DMY''', 'intervalstyle = ''iso_8601''',
            'timezone = ''Asia/Kolkata''', 'extra_float_digits = 0', 'bytea_output = ''escape''',
            'xmlbinary = ''hex''', 'quote_all_identifiers = on', 'array_nulls = off'] loop
            execute format('alter database %I set ', current_database()) || setting;
        end loop; end $$;";

pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Types and how values of theirs are written, no two neighbours alike.
type Columns = Vec<(String, Vec<String>)>;

fn plain() -> Columns {
    let column = |(name, values): &(&str, &[&str])| {
        (name.to_string(), values.iter().map(|value| quoted(value)).collect())
    };
    TYPES.iter().map(column).collect()
}

/// Of every type arrays that differ in their elements, their dimensions or where they begin.
fn arrays() -> Columns {
    let column = |(name, values): &(&str, &[&str])| {
        let array = format!("{name}[]");
        let value = |at: usize| format!("{}::{name}", quoted(values[at]));
        let (a, b) = (value(0), value(1));
        let values = [
            format!("array[{a}]"),
            format!("array[{b}]"),
            format!("array[{a}, {b}]"),
            format!("array[array[{a}, {b}]]"),
            format!("array[array[{a}], array[{b}]]"),
            format!("array[{a}, null]"),
            format!("array_fill({a}, array[1], array[0])"),
            "array[]".to_owned(),
        ];
        let values = values.map(|value| format!("{value}::{array}")).to_vec();
        (array, values)
    };
    TYPES.iter().filter(|(name, _)| !name.ends_with(']')).map(column).collect()
}

/// A table for each type; each value stands in a row, moved on by so many places, and a NULL at the end.
fn tables(columns: &Columns, moved: usize) -> String {
    let mut sql = String::new();
    for (place, (type_name, values)) in columns.iter().enumerate() {
        let _ = writeln!(sql, "create table t{place} (id int primary key, v {type_name});");
        for row in 0..values.len() {
            let value = &values[(row + moved) % values.len()];
            let _ = writeln!(sql, "insert into t{place} values ({row}, {value});");
        }
        let last = if moved == 0 { "null" } else { &values[0] };
        let _ = writeln!(sql, "insert into t{place} values (1000, {last});");
    }
    sql
}

fn spec(columns: &Columns) -> String {
    let mut spec = String::new();
    for place in 0..columns.len() {
        let table = format!("table = \"public.t{place}\"\n");
        let _ = write!(
            spec,
            "[[mapping]]\n[mapping.source]\n{table}[mapping.target]\n{table}[mapping.columns]\nv = \"v\"\n"
        );
    }
    spec
}

/// How many findings each type has, where that is not what is expected.
fn surprises(
    columns: &Columns,
    outcome: &Outcome,
    expected: impl Fn(usize) -> usize,
) -> Vec<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for finding in outcome.records("finding") {
        *found.entry(finding["mapping"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let differs = |(place, (name, _)): (usize, &(String, _))| {
        let found = found.get(&format!("t{place}")).copied().unwrap_or_default();
        let expected = expected(place);
        (found != expected).then(|| format!("{name}: {found} findings instead of {expected}"))
    };
    columns.iter().enumerate().filter_map(differs).collect()
}

/// Compares an identical copy, then one in which every value is another; `more` is the target's alone.
fn each_change_is_one_finding(columns: &Columns, more: &str) {
    let source = format!("{OWN}{}", tables(columns, 0));
    let other_oids = "do $$ begin for n in 1..50 loop
        execute format('create type gone%s as enum ()', n); execute format('drop type gone%s', n);
        end loop; end $$;";
    let iso = "set datestyle = 'ISO, MDY'; set array_nulls = on;";
    let target = format!("{other_oids}{OWN}{iso}{}{more}{DEFAULTS}", tables(columns, 0));
    let pair = Pair::new(&source, &target);
    let spec = pair.spec(&spec(columns));
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        assert_eq!(surprises(columns, &outcome, |_| 0), Vec::<String>::new(), "{}", outcome.stderr);
        outcome.balances().exits(0);
    }
    let drop: String = (0..columns.len()).map(|place| format!("drop table t{place};\n")).collect();
    pair.sql(Side::Target, &format!("{iso}{drop}{}", tables(columns, 1)));
    pair.grant(Side::Target);
    for strategy in strategies() {
        for rows in ["1", "1000"] {
            let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", rows]);
            let all = |place: usize| columns[place].1.len() + 1;
            let surprises = surprises(columns, &outcome, all);
            assert_eq!(surprises, Vec::<String>::new(), "{}", outcome.stderr);
            outcome.balances().exits(1);
        }
    }
}

#[test]
fn an_identical_copy_elsewhere_is_clean_and_each_changed_value_is_one_finding() {
    // Text is ordered and compared otherwise too.
    let otherwise = "alter table t3 alter v type text collate \"sv-x-icu\";
         create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         alter table t4 alter v type varchar(8) collate loose;";
    each_change_is_one_finding(&plain(), otherwise);
}

#[test]
fn the_same_of_arrays_of_every_type_and_dimension() {
    each_change_is_one_finding(&arrays(), "");
}
