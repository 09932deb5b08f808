//! The environment of the values: search paths, session defaults, indexes, storage, locales.

use pgreconcile::schema::Side;

use crate::support::{Pair, refused, strategies};

const SPEC: &str = "[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n";
const KEYED: &str = "[[mapping]]\nkey = [\"id\"]\nsource.table = \"public.t\"\n\
                     target.table = \"public.t\"\n";
const ROWS: &str = "create table t (id int primary key, v text);
                    insert into t select n, 'v' || n from generate_series(1, 50) n;";

/// Asserts that a spec gives these findings with each strategy and every chunk size.
fn finds(pair: &Pair, spec: &str, expected: &[&str]) {
    let spec = pair.spec(spec);
    finds_in(pair, &spec, expected);
}

fn finds_in(pair: &Pair, spec: &std::path::Path, expected: &[&str]) {
    for strategy in strategies() {
        for rows in ["1", "7", "1000"] {
            let outcome = pair.compare(spec, &["--strategy", strategy, "--chunk-rows", rows]);
            assert_eq!(outcome.findings(), expected, "{strategy} {rows}\n{}", outcome.stderr);
            outcome.balances().exits(i32::from(!expected.is_empty()));
        }
    }
}

/// Writes a spec whose sides resolve the operator's names in these schemas.
fn with_paths(pair: &Pair, source: &str, target: &str, rest: &str) -> std::path::PathBuf {
    let text = format!(
        "version = 1\nname = \"test\"\n[source]\nurl = \"${{SOURCE_URL}}\"\n{source}\n\
         [target]\nurl = \"${{TARGET_URL}}\"\n{target}\n{rest}"
    );
    pair.scratch.file("spec.toml", &text)
}

/// Overloads that match better than the built-in functions of the same names, and types too.
const HIJACK: &str = "create schema evil;
    create domain evil.text as pg_catalog.text; create domain evil.int4 as pg_catalog.int4;
    create domain evil.int8 as pg_catalog.int8; create collation evil.\"C\" from \"und-x-icu\";
    create function evil.yes(pg_catalog.text, pg_catalog.text) returns bool language sql as 'select true';
    create function evil.yes(pg_catalog.int4, pg_catalog.int4) returns bool language sql as 'select true';
    create function evil.yes(pg_catalog.int8, pg_catalog.int8) returns bool language sql as 'select true';
    create function evil.yes(varchar, pg_catalog.text) returns bool language sql as 'select true';
    create function evil.yes(varchar, varchar) returns bool language sql as 'select true';
    do $$ declare operator text; begin foreach operator in array array['=', '<', '>', '<=', '>=', '<>'] loop
        execute format('create operator evil.%s (leftarg = text, rightarg = text, function = evil.yes)', operator);
        execute format('create operator evil.%s (leftarg = int4, rightarg = int4, function = evil.yes)', operator);
        execute format('create operator evil.%s (leftarg = int8, rightarg = int8, function = evil.yes)', operator);
        execute format('create operator evil.%s (leftarg = varchar, rightarg = text, function = evil.yes)', operator);
        execute format('create operator evil.%s (leftarg = varchar, rightarg = varchar, function = evil.yes)', operator);
    end loop; end $$;
    create function evil.hashtextextended(pg_catalog.text, int8) returns int8 language sql as 'select 1::int8';
    create function evil.hash_record_extended(record, int8) returns int8 language plpgsql as 'begin return 1; end';
    create function evil.int8send(int8) returns bytea language sql as $$ select ''::bytea $$;
    create function evil.count(varchar) returns int8 language sql as 'select 1::int8';
    create function evil.convert_to(varchar, name) returns bytea language sql as $$ select ''::bytea $$;
    create function evil.trim_scale(numeric) returns numeric language sql as 'select 1::numeric';
    create function evil.said(varchar) returns varchar language sql as $$ select $1 $$;
    grant usage on schema evil to public;";

/// A function that another user puts into the search path would decide what is equal.
#[test]
fn a_hijacked_search_path_changes_only_the_operators_sql() {
    let rows = "create table t (id int, code varchar, big int8, n numeric, primary key (id, code));
        insert into t select n, 'c' || n, n, n + 0.5 from generate_series(1, 50) n;";
    let target = format!(
        "{HIJACK} {rows} update t set big = -big where id = 7; update t set n = n + 1 where id = 9;
         update t set code = 'x' where id = 11;"
    );
    let pair = Pair::new(&format!("{HIJACK} {rows}"), &target);
    let expected = [
        "t mismatch {\"id\":\"7\",\"code\":\"c7\"} big: \"7\" | \"-7\"",
        "t mismatch {\"id\":\"9\",\"code\":\"c9\"} n: \"9.5\" | \"10.5\"",
        "t only_in_source {\"id\":\"11\",\"code\":\"c11\"}",
        "t only_in_target {\"id\":\"11\",\"code\":\"x\"}",
    ];
    // The role's own default, and the search path in the spec, both list a schema before
    // pg_catalog.
    let defaults = "do $$ begin execute format('alter role reader in database %I set search_path = evil, pg_catalog, public',
        current_database()); end $$;";
    for side in Side::BOTH {
        pair.sql(side, defaults);
    }
    finds(&pair, SPEC, &expected);
    let path = "search_path = \"evil, pg_catalog, public\"";
    let computed = "key = [\"id\", \"code\"]\ncolumns.code = { sql = \"said(code)\", target_sql = \"said(code)\" }";
    let computed = SPEC.replace("[[mapping]]", &format!("[[mapping]]\n{computed}"));
    finds_in(&pair, &with_paths(&pair, path, path, &computed), &expected);
}

/// A view whose functions rely on a search path could not be read at all.
#[test]
fn a_view_that_needs_a_search_path_gets_it_from_the_spec() {
    let view = format!(
        "{} create schema app; create table app.names (id int primary key, name text);
         insert into app.names select n, 'v' || n from generate_series(1, 50) n;
         create function app.name_of(int) returns text language plpgsql stable as
         $$ begin return (select name from names where id = $1); end $$;
         create view t as select id, app.name_of(id) as v from base;",
        ROWS.replace("table t", "table base").replace("into t", "into base")
    );
    let pair = Pair::new(ROWS, &view);
    let outcome = pair.compare(&pair.spec(KEYED), &[]);
    assert!(
        outcome.exits(3).stdout.contains("relation \\\"names\\\" does not exist"),
        "{outcome:?}"
    );
    let named = with_paths(&pair, "", "search_path = \"app\"", KEYED);
    finds_in(&pair, &named, &[]);
}

/// Each of these allows a key to occur twice, or not at all.
const UNPROVEN: &[(&str, &str)] = &[
    ("deferrable", "alter table t add unique (id) deferrable initially deferred;"),
    ("partial", "create unique index on t (id) where v <> 'twin';"),
    (
        "invalid",
        "\\set ON_ERROR_STOP off\ncreate unique index concurrently on t (id);\n\\set ON_ERROR_STOP on\n",
    ),
    ("of an expression", "create unique index on t ((v || 'x'));"),
    ("of more columns", "create unique index on t (id, v);"),
    ("not unique", "create index on t (id);"),
    ("hash", "create index on t using hash (id);"),
];

#[test]
fn an_index_that_does_not_keep_rows_apart_proves_nothing() {
    for (kind, index) in UNPROVEN {
        let twins = format!(
            "create table t (id int not null, v text); insert into t select n, 'v' || n from generate_series(1, 50) n;
             {}\n{index}",
            if *kind == "deferrable" { "" } else { "insert into t values (7, 'twin');" }
        );
        let pair = Pair::new(ROWS, &twins);
        let twice = ["t duplicate_key target {\"id\":\"7\"} 2"];
        finds(&pair, KEYED, if *kind == "deferrable" { &[] } else { &twice });
        let plan = pair.program().args(&["plan", pair.spec(KEYED).to_str().unwrap()]).run();
        let note = "No unique index proves the key on the target";
        assert!(plan.exits(0).stdout.contains(note), "{kind}\n{}", plan.stdout);
    }
}

/// Rows whose key is NULL would be neither compared nor reported.
#[test]
fn a_unique_index_that_allows_nulls_proves_no_key() {
    let table = "create table t (a int, b int, v text); create unique index on t (a, b);
        insert into t select n % 7, n, 'v' || n from generate_series(1, 50) n;
        insert into t values (1, null, 'x'), (1, null, 'x'), (null, 1, 'x'), (null, null, 'x'), (-1, null, 'x');";
    let pair = Pair::new(table, &format!("{table} delete from t where a is null or b = 20;"));
    let spec = SPEC.replace("[[mapping]]\n", "[[mapping]]\nkey = [\"a\", \"b\"]\n");
    finds(
        &pair,
        &spec,
        &[
            "t null_key source 5",
            "t null_key target 3",
            "t only_in_source {\"a\":\"6\",\"b\":\"20\"}",
        ],
    );
}

#[test]
fn session_defaults_of_a_role_in_a_database_change_no_value() {
    let table = "create table t (id int primary key, ts timestamptz, d interval, f float8, b bytea, m money, a text[], x xml);
        set intervalstyle = 'postgres'; set datestyle = 'ISO, MDY';
        insert into t select n, timestamptz '2026-03-29 00:30+00' + n * interval '1 hour', n * interval '1 mon 1 day 1 s',
            0.1::float8 + n * 1e-16, decode('00ff' || lpad(n::text, 2, '0'), 'hex'), n::money, array[null, 'null'], '<a/>'
        from generate_series(1, 50) n;";
    let pair =
        Pair::new(table, &format!("{table} update t set ts = ts + interval '1 us' where id = 9;"));
    let defaults = "do $$ declare setting text; begin
        foreach setting in array array['datestyle = ''SQL, DMY''', 'intervalstyle = ''sql_standard''',
            'timezone = ''Asia/Tokyo''', 'extra_float_digits = -15', 'bytea_output = ''escape''', 'array_nulls = off',
            'transform_null_equals = on', 'client_encoding = ''LATIN1''', 'default_transaction_read_only = on',
            'default_transaction_isolation = ''serializable''', 'standard_conforming_strings = off',
            'quote_all_identifiers = on', 'row_security = on', 'search_path = ''''', 'enable_seqscan = off'] loop
            execute format('alter role reader in database %I set ', current_database()) || setting;
        end loop; end $$;";
    pair.sql(Side::Target, defaults);
    let told = "\"2026-03-29 09:30:00+00\" | \"2026-03-29 09:30:00.000001+00\"";
    finds(&pair, SPEC, &[&format!("t mismatch {{\"id\":\"9\"}} ts: {told}")]);
    // The day of a timestamptz is its day in UTC, whatever the sides' own zones are.
    let day =
        "columns.day = { sql = \"(ts at time zone 'UTC')::date\", target_sql = \"ts::date\" }\n";
    finds(&pair, &format!("{SPEC}{day}"), &[&format!("t mismatch {{\"id\":\"9\"}} ts: {told}")]);
    pair.sql(Side::Target, "do $$ begin execute format('alter role reader in database %I reset all', current_database()); end $$");
}

#[test]
fn a_clock_time_meets_a_moment_in_the_zone_that_the_spec_names() {
    // In Berlin 02:30 does not exist on 2026-03-29: it is read as 03:30, which exists too.
    let pair = Pair::new(
        "create table t (id int primary key, at timestamp); insert into t values
         (1, '2026-03-29 01:30'), (2, '2026-03-29 02:30'), (3, '2026-03-29 03:30'), (4, '2026-07-01 12:00'), (5, null), (6, 'infinity');",
        "create table t (id int primary key, at timestamptz); insert into t values
         (1, '2026-03-29 00:30+00'), (2, '2026-03-29 02:30+00'), (3, '2026-03-29 01:30+00'), (4, '2026-07-01 10:00+00'), (5, null), (6, 'infinity');",
    );
    let zone = format!("{SPEC}columns.at = {{ sql = \"at at time zone 'Europe/Berlin'\" }}\n");
    finds(
        &pair,
        &zone,
        &["t mismatch {\"id\":\"2\"} at: \"2026-03-29 01:30:00+00\" | \"2026-03-29 02:30:00+00\""],
    );
}

/// A query whose result depends on the session's time zone would be compared without a warning. The
/// warning comes from the server's parse result, so it depends neither on the operator's spelling
/// nor on the data.
#[test]
fn sql_that_depends_on_the_session_zone_is_warned_of() {
    let tables = "create table base (id int primary key, at timestamptz, clock timestamp, secret int);
         create table parted (id int, at timestamptz, clock timestamp, secret int) partition by hash (id);
         create table parted0 partition of parted for values with (modulus 1, remainder 0);
         create view seen as select * from base;";
    let target = "create table t (id int primary key, day date);";
    let pair = Pair::new(tables, target);
    let warned = |reads: &str, sql: &str, more: &str| {
        let spec = pair.spec(&format!(
            "[params]\nzone = {{ type = \"text\", default = \"Asia/Tokyo\" }}\n[[mapping]]\nkey = [\"id\"]\n\
             source.{reads}\nsource.ignore = [\"at\", \"clock\", \"secret\"]\ntarget.table = \"public.t\"\n\
             columns.day = {{ sql = \"{sql}\" }}\n{more}"
        ));
        let outcome = pair.program().args(&["check", spec.to_str().unwrap()]).run();
        let lines = outcome.exits(0).stderr.lines().filter(|line| line.ends_with("in UTC"));
        lines.map(|line| line.trim_start_matches("warning: ").to_owned()).collect::<Vec<_>>()
    };
    let day = ["the day of source column \"at\" is taken in UTC"];
    for reads in [
        "table = \"public.base\"",
        "table = \"public.parted\"",
        "table = \"public.seen\"",
        "query = \"select * from public.base\"",
    ] {
        assert_eq!(warned(reads, "at::date", ""), day, "{reads}");
        assert_eq!(warned(reads, "cast(source.AT as pg_catalog.date)", ""), day, "{reads}");
        assert_eq!(warned(reads, "(at at time zone :zone)::date", ""), [""; 0], "{reads}");
    }
    let table = "table = \"public.base\"";
    assert_eq!(warned(table, "clock::date -- at::date", ""), [""; 0]);
    let moment = ["the moment of source column \"clock\" is taken in UTC"];
    assert_eq!(warned(table, "(clock::timestamptz at time zone :zone)::date", ""), moment);
    let filter = "[mapping.target]\nwhere = \"day::timestamptz > now()\"\n";
    let filter = filter.replace("[mapping.target]\n", "target.");
    assert_eq!(
        warned(table, "clock::date", &filter),
        ["the moment of target column \"day\" is taken in UTC"]
    );
    // Columns that the role may not read are no problem if the SQL does not name them.
    pair.sql(
        Side::Source,
        "revoke select on base from reader; grant select (id, at) on base to reader;",
    );
    assert_eq!(warned(table, "at::date", ""), day);
}

/// One value would end the comparison of its whole table.
#[test]
fn json_that_jsonb_refuses_leaves_only_its_row_undecided() {
    let pair = Pair::new(
        "create table t (id int primary key, v json); insert into t select n, to_json(n) from generate_series(1, 50) n;
         update t set v = '{\"a\": \"\\u0000\"}' where id = 7; update t set v = '[1]' where id = 9;",
        "create table t (id int primary key, v jsonb); insert into t select n, to_jsonb(n) from generate_series(1, 50) n;",
    );
    for strategy in strategies() {
        for rows in ["1", "7", "1000"] {
            let outcome =
                pair.compare(&pair.spec(SPEC), &["--strategy", strategy, "--chunk-rows", rows]);
            assert_eq!(outcome.findings(), ["t mismatch {\"id\":\"9\"} v: \"[1]\" | \"9\""]);
            let undecided = outcome.balances().exits(3).records("undecided");
            assert_eq!(undecided.len(), 1, "{undecided:?}");
            assert_eq!(undecided[0]["range"]["through"]["id"], "7", "{undecided:?}");
            assert!(undecided[0]["reason"].as_str().unwrap().contains("22P05"), "{undecided:?}");
        }
    }
}

#[test]
fn names_of_relations_are_compared_and_not_their_oids() {
    let table = "create table a (); create schema s; create table s.a (); create table \"B\" (); create function f() returns int language sql as 'select 1';
        create table t (id int primary key, r regclass, p regprocedure, y regtype);
        insert into t values (1, 'a', 'f()', 'a'), (2, 's.a', 'f()', 's.a'), (3, '\"B\"', 'now()', 'int4'), (4, 'pg_class', null, null);";
    let target = format!("create table filler (); {table} update t set r = 's.a' where id = 1;");
    let pair = Pair::new(table, &target);
    let expected = ["t mismatch {\"id\":\"1\"} r: \"public.a\" | \"s.a\""];
    finds(&pair, SPEC, &expected);
    // The search path changes how a name is written, and two relations may have one name.
    for (source, target) in [("search_path = \"public\"", ""), ("", "search_path = \"s\"")] {
        let spec = with_paths(&pair, source, target, SPEC);
        let told = refused(&pair.program().args(&["check", spec.to_str().unwrap()]).run());
        assert_eq!(told.len(), 3, "{told:#?}");
        assert!(told.iter().all(|problem| problem.headline.contains("search_path")), "{told:#?}");
    }
}

#[test]
fn how_a_value_is_stored_does_not_count() {
    let table = |how: &str| {
        format!(
            "create table t (id int primary key, v text, b bytea, j jsonb); {how}
             insert into t select n, repeat('x' || n, 20000), convert_to(repeat('y' || n, 20000), 'UTF8'),
                to_jsonb(repeat('z' || n, 20000)) from generate_series(1, 9) n;"
        )
    };
    let stored = |how: &str| {
        table(&format!("alter table t alter v set {how}, alter b set {how}, alter j set {how};"))
    };
    let ways = [
        stored("storage external"),
        stored("storage main"),
        stored("compression lz4"),
        stored("compression pglz"),
    ];
    for target in &ways {
        let pair = Pair::new(
            &ways[0],
            &format!("{target} update t set v = overlay(v placing 'X' from 30000) where id = 5;"),
        );
        for strategy in strategies() {
            let outcome = pair.compare(&pair.spec(SPEC), &["--strategy", strategy]);
            let found = outcome.findings();
            assert!(
                found.len() == 1 && found[0].starts_with("t mismatch {\"id\":\"5\"} v: "),
                "{}",
                found.len()
            );
            outcome.balances().exits(1);
        }
    }
}

/// Values would be read from the wrong column if partitions had another column order.
#[test]
fn partitions_and_children_may_have_other_column_orders() {
    let target = "create table t (id int, v text, primary key (id)) partition by range (id);
        create table low (gone int, v text, also_gone text, id int not null);
        alter table low drop gone, drop also_gone; alter table t attach partition low for values from (minvalue) to (25);
        create table high partition of t default;
        insert into t select n, 'v' || n from generate_series(1, 50) n; update t set v = 'x' where id = 7;";
    finds(&Pair::new(ROWS, target), SPEC, &["t mismatch {\"id\":\"7\"} v: \"v7\" | \"x\""]);
    let target = "create table t (id int primary key, v text);
        create table child (more text, primary key (id)) inherits (t);
        insert into t select n, 'v' || n from generate_series(1, 25) n;
        insert into child select n, 'v' || n, 'more' from generate_series(25, 50) n;";
    finds(&Pair::new(ROWS, target), KEYED, &["t duplicate_key target {\"id\":\"25\"} 2"]);
}
