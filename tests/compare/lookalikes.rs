//! Values that are easily confused, and their environment: each trap has a test.
//!
//! Numbers
//! - `numeric` 1.0 and 1.00, its scale against another or a whole number, NaN and the infinities:
//!   `compare::lookalikes::numeric_scale_and_typmod_and_the_numbers_that_are_none`
//! - the sign of a `numeric`, which its hash leaves out:
//!   `compare::scenarios::blind_spot_numeric_sign`
//! - float -0 and 0, NaN with other bits, float4 against float8, within arrays too:
//!   `compare::lookalikes::float_zeros_and_nans_and_the_narrower_of_two_floats`,
//!   `compare::scenarios::blind_spot_float_zero_and_null`
//! - float against `numeric`:
//!   `compare::lookalikes::types_without_a_lossless_common_type_are_refused`
//! - float and `numeric` keys from -Infinity to NaN: `compare::scenarios::keys_of_many_types`,
//!   `compare::keys::three_differences_are_found_by_keys_of_every_kind`,
//!   `compare::laws::keys_are_ordered_as_the_servers_order_them`
//! - integers of other widths:
//!   `compare::lookalikes::whole_numbers_of_other_widths_and_the_ends_of_their_types`
//! - 64 bits folded to 32 (int8, times, money, pg_lsn):
//!   `compare::scenarios::blind_spot_wrapped_integers`
//! - the ends of types: `compare::scenarios::numbers_and_letters_at_the_edge`
//! - money against numbers: `compare::lookalikes::values_with_an_equality_of_their_own`,
//!   `compare::scenarios::tolerance_numbers`
//!
//! Times
//! - timestamp against timestamptz: refused, and by an expression
//!   `compare::environment::a_clock_time_meets_a_moment_in_the_zone_that_the_spec_names`
//! - the day of a timestamptz in the session's zone:
//!   `compare::environment::session_defaults_of_a_role_in_a_database_change_no_value`,
//!   `compare::environment::sql_that_depends_on_the_session_zone_is_warned_of`
//! - typmod, 24:00, 1 day and 24 hours, timetz:
//!   `compare::lookalikes::values_with_an_equality_of_their_own`,
//!   `compare::lookalikes::numeric_scale_and_typmod_and_the_numbers_that_are_none`
//! - infinity and years before Christ:
//!   `compare::types::identical_copies_are_clean_and_each_change_is_found`
//!
//! Texts
//! - `char(n)`, NFC and NFD, letters that look alike:
//!   `compare::lookalikes::texts_that_look_alike_and_padding`
//! - citext and collations that treat texts as equal:
//!   `compare::keys::values_that_a_loose_equality_merges_are_two_keys`,
//!   `compare::scenarios::rule_case_insensitive`
//! - keys under collations that have another order:
//!   `compare::encodings::a_default_collation_that_orders_otherwise_changes_nothing`
//! - UUIDs as texts, in upper case, in braces:
//!   `compare::lookalikes::values_with_an_equality_of_their_own`,
//!   `compare::keys::a_key_that_is_computed_and_a_text_that_is_no_uuid`
//! - encodings, and their order:
//!   `compare::encodings::a_text_is_the_same_in_any_encoding_and_so_is_a_key`,
//!   `compare::encodings::a_key_the_other_side_cannot_encode_is_compared`
//! - bytes that are not valid text:
//!   `compare::encodings::bytes_that_are_no_text_leave_their_row_undecided`,
//!   `compare::encodings::a_key_of_bytes_that_are_no_text_ends_no_run`
//! - what many findings have in common (NFC and NFD, 1 and 1.0 in jsonb, an older state):
//!   `report::diagnosis::what_a_column_has_gone_through_is_named`
//! - NULL and empty, delimiters, "NULL": `compare::scenarios::null_against_empty`,
//!   `compare::lookalikes::records_and_maps_are_unambiguous_and_null_is_no_text`
//!
//! Structures
//! - JSON as text, jsonb 1 and 1.0, xml, hstore, records:
//!   `compare::lookalikes::records_and_maps_are_unambiguous_and_null_is_no_text`,
//!   `compare::scenarios::rule_json`
//! - jsonb's own hash: `compare::scenarios::blind_spot_jsonb_elements`
//! - JSON that jsonb rejects:
//!   `compare::environment::json_that_jsonb_refuses_leaves_only_its_row_undecided`
//! - JSON too deep: `compare::rules::a_text_that_is_no_json_leaves_its_row_undecided_and_no_other`
//! - an enum's order and OIDs, also within arrays, records, ranges, domains:
//!   `compare::scenarios::blind_spot_enum_oids`, `compare::scenarios::every_type_identical`
//! - user-defined casts:
//!   `compare::lookalikes::a_cast_of_the_users_own_does_not_stand_for_the_value`
//! - bounds and dimensions of arrays: `compare::scenarios::blind_spot_arrays`
//! - ranges: `compare::scenarios::blind_spot_ranges`
//! - types without a hash, areas for equality: `compare::scenarios::blind_spot_types_without_hash`
//! - inet and cidr: `compare::lookalikes::addresses_with_and_without_a_network`
//! - macaddr and macaddr8, oid, xid, tid:
//!   `compare::lookalikes::types_without_a_lossless_common_type_are_refused`
//! - regclass in two databases:
//!   `compare::environment::names_of_relations_are_compared_and_not_their_oids`
//!
//! Sizes and storage
//! - out of line, compressed one way or the other:
//!   `compare::environment::how_a_value_is_stored_does_not_count`
//! - large values and rows, many columns:
//!   `compare::sizes::values_of_100_megabytes_are_compared_in_256`,
//!   `compare::sizes::values_of_600_megabytes_are_compared_or_undecided`,
//!   `compare::sizes::tables_of_1600_columns_are_compared_column_by_column`
//!
//! Tables
//! - generated, identity and dropped columns:
//!   `plan::table_kinds::columns_count_by_name_whatever_their_order_and_history`
//! - partitions, inheritance:
//!   `plan::table_kinds::a_partitioned_table_is_read_with_all_its_partitions`,
//!   `plan::table_kinds::an_inheritance_parent_includes_children_but_its_key_not`,
//!   `plan::table_kinds::a_parent_alone_is_read_without_its_children`,
//!   `compare::environment::partitions_and_children_may_have_other_column_orders`
//! - views, foreign and unlogged tables:
//!   `plan::table_kinds::views_and_foreign_and_unlogged_tables_are_read`
//! - row-level security, columns that may not be read:
//!   `plan::table_kinds::what_hides_rows_or_columns_is_reported_first`,
//!   `plan::table_kinds::a_view_whose_owner_sees_too_little_is_refused`
//! - indexes that are deferrable, partial, invalid:
//!   `compare::environment::an_index_that_does_not_keep_rows_apart_proves_nothing`
//! - NULLs in keys: `compare::environment::a_unique_index_that_allows_nulls_proves_no_key`,
//!   `compare::scenarios::duplicates_and_null_keys`
//!
//! Servers
//! - session defaults:
//!   `compare::environment::session_defaults_of_a_role_in_a_database_change_no_value`
//! - a hijacked search path:
//!   `compare::environment::a_hijacked_search_path_changes_only_the_operators_sql`
//! - views that need a search path:
//!   `compare::environment::a_view_that_needs_a_search_path_gets_it_from_the_spec`
//! - hash functions that differ from PostgreSQL's:
//!   `compare::self_test::a_server_that_hashes_in_a_way_of_its_own_is_streamed`
//! - rows that change between a read and its recheck:
//!   `compare::dual_writes::replication_lag_is_no_finding_and_no_difference_is_lost`

use crate::support::{HEAD, Pair, refused, strategies};

const SPEC: &str = "[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n";

/// Checks for pairs of values whether they differ. A case is the types of both sides and
/// expressions of them, separated by ` ; `: `1.0 == 1.00` is one value, `1 <> 2` are two.
fn tells_apart(own: &str, cases: &[(&str, &str, &str)]) {
    let (mut sql, mut spec, mut expected) =
        ([own.to_owned(), own.to_owned()], String::new(), vec![]);
    for (place, (source, target, values)) in cases.iter().enumerate() {
        for (sql, column) in sql.iter_mut().zip([source, target]) {
            sql.push_str(&format!("create table t{place} (id int primary key, v {column});\n"));
        }
        spec.push_str(&format!(
            "[[mapping]]\nsource.table = \"public.t{place}\"\ntarget.table = \"public.t{place}\"\ncolumns.v = \"v\"\n"
        ));
        for (row, values) in values.split(" ;").map(str::trim).enumerate() {
            let equal = values.split_once(" == ");
            let (one, other) = equal.or_else(|| values.split_once(" <> ")).unwrap();
            for (sql, value) in sql.iter_mut().zip([one, other]) {
                sql.push_str(&format!("insert into t{place} values ({row}, {value});\n"));
            }
            if equal.is_none() {
                expected.push(format!("t{place} mismatch \"{row}\""));
            }
        }
    }
    expected.sort();
    let pair = Pair::new(&sql[0], &sql[1]);
    let spec = pair.spec(&spec);
    for strategy in strategies() {
        for rows in ["1", "1000"] {
            let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", rows]);
            let told = |finding: &serde_json::Value| {
                let (name, kind) = (&finding["mapping"], finding["kind"].as_str().unwrap());
                format!("{} {kind} {}", name.as_str().unwrap(), finding["key"]["id"])
            };
            let mut found: Vec<String> = outcome.records("finding").iter().map(told).collect();
            found.sort();
            assert_eq!(found, expected, "{cases:#?}\n{}", outcome.stderr);
            outcome.balances().exits(i32::from(!expected.is_empty()));
        }
    }
}

/// Asserts that each of these pairs of types is refused, with the reason and the remedy.
fn refuses(own: &str, cases: &[(&str, &str, &str, &str)]) {
    let table = |of: fn(&(&str, &str, &str, &str)) -> String| {
        let columns: Vec<String> =
            cases.iter().enumerate().map(|(at, case)| format!("c{at} {}", of(case))).collect();
        format!("{own} create table t (id int primary key, {});", columns.join(", "))
    };
    let pair = Pair::new(&table(|case| case.0.to_owned()), &table(|case| case.1.to_owned()));
    let spec = pair.scratch.file("spec.toml", &format!("{HEAD}{SPEC}"));
    let told = refused(&pair.program().args(&["check", spec.to_str().unwrap()]).run());
    assert_eq!(told.len(), cases.len(), "{told:#?}");
    for (at, (_, _, why, hint)) in cases.iter().enumerate() {
        let name = format!("\"c{at}\"");
        let problem = told.iter().find(|problem| problem.headline.contains(&name)).unwrap();
        assert!(problem.headline.contains(why) && problem.hint.contains(hint), "{problem:#?}");
    }
}

#[test]
fn numeric_scale_and_typmod_and_the_numbers_that_are_none() {
    tells_apart(
        "",
        &[
            (
                "numeric",
                "numeric",
                "1.0 == 1.00 ; 0.00 == 0 ; -1.10 == -1.1 ; 1e3 == 1000.0 ; 'NaN' == 'NaN' ;
                 'Infinity' == 'Infinity' ; '-Infinity' <> 'Infinity' ; 'NaN' <> 'Infinity' ;
                 'NaN' <> 0 ; 'NaN' <> null ; 100 <> -100 ; 1e-30 <> 0",
            ),
            (
                "numeric(10,2)",
                "numeric(12,4)",
                "1.005 <> 1.005 ; 1.01 == 1.0100 ; 1.01 <> 1.0101 ; 'NaN' == 'NaN'",
            ),
            ("int4", "numeric(12,4)", "3 <> 2.5 ; 3 == 3.0000 ; 2 <> 2.5"),
            (
                "time(3)",
                "time",
                "'10:00:00.1235' <> '10:00:00.1235' ; '10:00:00.124' == '10:00:00.124'",
            ),
            ("time", "time", "'24:00:00' <> '00:00:00' ; '24:00' == '24:00:00'"),
            (
                "timestamp(0)",
                "timestamp",
                "'2026-01-01 00:00:00.5' <> '2026-01-01 00:00:00.5' ; '2026-01-01' == '2026-01-01'",
            ),
            (
                "date",
                "timestamp",
                "'2026-01-01' <> '2026-01-01 00:00:01' ; 'infinity' == 'infinity' ;
                 '-infinity' <> 'infinity'",
            ),
            ("varchar(3)", "text", "'abc ' <> 'abc ' ; 'abc' == 'abc'"),
            (
                "numrange",
                "numrange",
                "'[1,3)' <> '[1.0,3)' ; '[1,3)' == '[1,3)' ; '[1,3)' <> '[-1,3)'",
            ),
            ("int4range", "int4range", "'[1,3)' == '[1,2]' ; 'empty' == '(1,1)'"),
        ],
    );
    // Domains of one scale have a common type, whatever their names are.
    tells_apart(
        "create domain cents as numeric(10,2); create domain pence as numeric(12,2);",
        &[
            ("cents", "pence", "1.5 == 1.50 ; 1.5 <> 1.51"),
            ("cents[]", "cents[]", "'{1.5}' == '{1.50}'"),
        ],
    );
}

#[test]
fn whole_numbers_of_other_widths_and_the_ends_of_their_types() {
    tells_apart(
        "",
        &[
            ("int2", "int8", "-1 == -1 ; -1 <> 65535 ; 32767 == 32767 ; -32768 <> 32768"),
            (
                "int4",
                "int8",
                "-1 <> 4294967295 ; -5 <> 4294967291 ; -2147483648 == -2147483648 ;
                 0 <> 4294967296",
            ),
            (
                "int8",
                "numeric",
                "9223372036854775807 == 9223372036854775807.0 ;
                 9223372036854775807 <> 9223372036854775808 ;
                 -9223372036854775808 == -9223372036854775808",
            ),
            (
                "int4[]",
                "int8[]",
                "'{-1}' == '{-1}' ; '{-1}' <> '{4294967295}' ; '{1,2}' <> '[0:1]={1,2}' ;
                 '{}' <> '{NULL}'",
            ),
            (
                "date",
                "date",
                "'5874897-12-31' <> 'infinity' ; '4714-11-24 BC' <> '-infinity' ;
                 '0001-01-01 BC' <> '0001-01-01'",
            ),
            (
                "timestamptz",
                "timestamptz",
                "'294276-12-31 23:59:59.999999+00' <> 'infinity' ;
                 '4714-11-24 00:00:00+00 BC' == '4714-11-24 00:00:00+00 BC'",
            ),
            (
                "interval",
                "interval",
                "'178000000 years' == '178000000 years' ; '1 day' <> '24:00' ;
                 '1 mon' <> '30 days'",
            ),
        ],
    );
}

#[test]
fn float_zeros_and_nans_and_the_narrower_of_two_floats() {
    let values = "'-0' == 0 ; 'Infinity'::float8 - 'Infinity' == 'NaN' ; 'NaN' <> 'Infinity' ;
     '-Infinity' <> 'Infinity' ; 0 <> null ; 1e-30 <> 0";
    tells_apart(
        "",
        &[
            ("float8", "float8", values),
            ("float4", "float4", values),
            ("float4", "float8", values),
            (
                "float4",
                "float8",
                "1.1 == 1.1 ; 1.1 == 1.1::float4 ; 1.1 <> 1.1000001 ; 16777216 == 16777217",
            ),
            // Within an array the bytes are compared.
            (
                "float8[]",
                "float8[]",
                "'{-0}' <> '{0}' ; '{NaN}' == '{NaN}' ; '{0.1}' <> '{0.10000000000000002}'",
            ),
        ],
    );
}

#[test]
fn texts_that_look_alike_and_padding() {
    tells_apart(
        "",
        &[
            (
                "text",
                "text",
                "'é' <> E'e\\u0301' ; 'Å' <> E'\\u212b' ; 'a' <> 'а' ; '' <> null ; 'a' <> 'a ' ;
                 'x' <> E'x\\u200b'",
            ),
            ("char(5)", "char(2)", "'a' == 'a' ; '' == ' ' ; 'a' <> 'b' ; ' a' <> 'a'"),
            ("char(5)", "char(5)", "'a' == 'a  ' ; 'a' <> 'A' ; '' <> null"),
            ("char(5)", "varchar(5)", "'a' == 'a' ; 'a' <> 'a ' ; 'é' == 'é'"),
            ("\"char\"", "text", "'a' == 'a' ; '' == '' ; 'a' <> 'b'"),
            ("char(3)[]", "text[]", "'{a}' == '{a}' ; '{a}' <> '{\"a \"}'"),
        ],
    );
}

/// Two values whose parts join to the same text would be reported as equal.
#[test]
fn records_and_maps_are_unambiguous_and_null_is_no_text() {
    let own =
        "create type two as (a text, b text); create type many as (a numeric, b two[], c jsonb);
               create extension hstore;";
    tells_apart(
        own,
        &[
            (
                "two",
                "two",
                "row('a,b', 'c') <> row('a', 'b,c') ; row('', null) <> row(null, '') ;
                 row(null, null) <> null ; row('NULL', null) <> row(null, 'NULL') ;
                 row('(a', 'b)') == row('(a', 'b)') ; row('\"', '\\') == row('\"', '\\') ;
                 row('ab', 'c') <> row('a', 'bc')",
            ),
            (
                "many",
                "many",
                "row(1.5, array[row('a','b')::two], '1') <> row(-1.5, array[row('a','b')::two], '1') ;
                 row(1, null, '[null, true]') <> row(1, null, '[true, false]') ;
                 row(1, '{}', null) == row(1, '{}', null)",
            ),
            (
                "hstore",
                "hstore",
                "'a=>NULL' <> 'a=>\"NULL\"' ; 'b=>2, a=>1' == 'a=>1, b=>2' ; '' <> null ;
                 'a=>NULL' <> ''",
            ),
            (
                "text[]",
                "text[]",
                "'{NULL}' <> '{\"NULL\"}' ; '{\"a,b\"}' <> '{a,b}' ; '{}' <> null",
            ),
            (
                "xml",
                "xml",
                "'<a/>' <> '<a></a>' ;
                 '<?xml version=\"1.0\"?><a/>' == '<?xml version=\"1.0\"?><a/>' ;
                 '<a>é</a>' <> '<a>&#233;</a>'",
            ),
            (
                "jsonb",
                "jsonb",
                "'1' <> '1.0' ; '{\"a\":1,\"a\":2}' == '{\"a\": 2}' ; 'null' <> null",
            ),
            (
                "json",
                "json",
                "'{\"a\":1}' <> '{\"a\": 1}' ; '\"\\u0000\"' == '\"\\u0000\"' ;
                 '\"\\u0000\"' <> '\"\\u0001\"' ; '\"\\u00e4\"' <> '\"ä\"'",
            ),
        ],
    );
}

#[test]
fn addresses_with_and_without_a_network() {
    tells_apart(
        "",
        &[
            (
                "inet",
                "cidr",
                "'1.1.1.1' == '1.1.1.1/32' ; '10.0.0.0/8' == '10.0.0.0/8' ;
                 '10.0.0.0/8' <> '10.0.0.0/9' ; '::1' == '::1/128'",
            ),
            ("inet", "inet", "'10.0.0.1/8' <> '10.0.0.1' ; '::ffff:1.2.3.4' <> '1.2.3.4'"),
            ("macaddr8", "macaddr8", "'08:00:2b:01:02:03' == '08:00:2b:ff:fe:01:02:03'"),
        ],
    );
}

/// A difference that a cast rounds away would be missed.
#[test]
fn types_without_a_lossless_common_type_are_refused() {
    refuses(
        "create type mood as enum ('ok');
         create domain cents as numeric(10,2); create domain mils as numeric(12,4);
         create domain many_cents as numeric(10,2)[]; create domain coins as cents;",
        &[
            ("timestamp", "timestamptz", "another moment", "AT TIME ZONE"),
            ("timestamptz", "date", "another moment", "AT TIME ZONE"),
            ("time", "timetz", "another moment", "AT TIME ZONE"),
            ("float8", "numeric", "without loss", "::float8"),
            ("float4", "numeric(10,2)", "without loss", "::float8"),
            ("int8", "float8", "without loss", "::float8"),
            ("money", "float8", "without loss", "::float8"),
            ("macaddr", "macaddr8", "no common form", "Write an expression"),
            ("bool", "int4", "no common form", "Write an expression"),
            ("text", "int4", "no common form", "Write an expression"),
            ("mood", "int4", "no common form", "Write an expression"),
            ("oid", "oid", "within one database", "ignore"),
            ("xid", "xid", "within one database", "ignore"),
            ("tid", "tid", "within one database", "ignore"),
            ("numeric(10,2)[]", "numeric(10,4)[]", "different scale", "expressions"),
            ("cents[]", "mils[]", "different scale", "expressions"),
            ("many_cents", "numeric(12,4)[]", "different scale", "expressions"),
            ("coins[]", "mils[]", "different scale", "expressions"),
            ("timestamp[]", "timestamptz[]", "no common form", "expressions"),
        ],
    );
}

#[test]
fn values_with_an_equality_of_their_own() {
    tells_apart(
        "",
        &[
            ("money", "money", "'1.5' == '1.50' ; '42949672.96' <> '0' ; '-0.01' <> '0.01'"),
            ("money", "numeric", "'1.5' == 1.5 ; '-0.01' <> 0.01 ; '1.5' <> 1.501 ;
             '1000' == 1000"),
            ("time", "time", "'24:00' <> '00:00' ; '24:00' == '24:00:00'"),
            ("timetz", "timetz", "'10:00+00' <> '11:00+01' ; '10:00+01' == '10:00+01:00'"),
            ("interval", "interval", "'1 day' <> '24:00' ; '1 mon' <> '30 days' ;
             '1 week' == '7 days'"),
            ("bit(4)", "bit(4)", "B'1010' <> B'0101' ; B'1010' == B'1010'"),
            ("varbit", "varbit", "B'0' <> B'00' ; B'' <> null"),
            ("box", "box", "'(2,2),(0,0)' <> '(4,1),(0,0)' ; '(0,0),(2,2)' == '(2,2),(0,0)'"),
            ("path", "path", "'[(0,0),(1,1)]' <> '[(5,5),(6,6)]' ;
             '[(0,0),(1,1)]' <> '((0,0),(1,1))'"),
            ("point", "point", "'(0,0)' <> '(0,0.0000001)' ; '(0.1,0)' == '(0.10,0)'"),
            (
                "uuid",
                "text",
                "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' == '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}' ;
                 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' <> 'a0eebc999c0b4ef8bb6d6bb9bd380a12'",
            ),
        ],
    );
}

#[test]
fn a_cast_of_the_users_own_does_not_stand_for_the_value() {
    let own = "create type mood as enum ('ok', 'sad'); create type two as (a text, b text);
        create domain feeling as mood; create domain pair as two;
        create function same(mood) returns text language sql immutable as $$ select 'same' $$;
        create function same(two) returns text language sql immutable as $$ select 'same' $$;
        create cast (mood as text) with function same(mood);
        create cast (two as text) with function same(two);";
    tells_apart(
        own,
        &[
            ("mood", "mood", "'ok' <> 'sad' ; 'ok' == 'ok'"),
            ("two", "two", "row('a', 'b') <> row('a', 'c') ; row('a', 'b') == row('a', 'b')"),
            ("mood[]", "mood[]", "'{ok}' <> '{sad}' ; '{ok}' == '{ok}'"),
            ("mood", "text", "'ok' == 'ok' ; 'ok' <> 'sad'"),
            (
                "mood[]",
                "text[]",
                "'{ok,NULL}' == '{ok,NULL}' ; '{ok}' <> '{same}' ; '{ok}' <> null",
            ),
            ("feeling", "feeling", "'ok' <> 'sad' ; 'ok' <> null ; 'ok' == 'ok'"),
            ("pair", "pair", "row('a', 'b') <> row('a', 'c') ; row(null, null) <> null"),
            ("pair[]", "pair[]", "array[row('a', 'b')::pair] <> array[row('a', 'c')::pair]"),
        ],
    );
}

#[test]
fn the_list_above_names_tests_that_there_are() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let head = include_str!("lookalikes.rs").lines().take_while(|line| line.starts_with("//!"));
    let head = head.collect::<Vec<_>>().join("\n");
    let named: Vec<_> = head.split('`').filter_map(|word| word.rsplit_once("::")).collect();
    assert!(named.len() > 50, "{}", named.len());
    for (file, name) in named {
        let text = std::fs::read_to_string(root.join(file.replace("::", "/")).with_extension("rs"))
            .unwrap();
        let scenario = file.ends_with("::scenarios") && root.join("scenarios").join(name).is_dir();
        assert!(scenario || text.contains(&format!("fn {name}()")), "{file}::{name}");
    }
}
