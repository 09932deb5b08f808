//! Databases with other encodings and other default collations.

use pgreconcile::schema::{BySide, Side};

use crate::support::{Pair, strategies};

const SPEC: &str = "[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n";

/// Creates a pair whose databases have these options; the SQL is UTF-8.
fn pair_in(options: BySide<&str>, source: &str, target: &str) -> Pair {
    let pair = Pair::new("", "");
    let name = &pair.database;
    for (side, options) in options.iter() {
        let again =
            format!("drop database {name}; create database {name} template template0 {options};");
        pair.clusters[side].sql("postgres", &again.replace(';', ";\n"));
        let sql = if side == Side::Source { source } else { target };
        pair.sql(side, &format!("set client_encoding = 'UTF8';\n{sql}"));
        pair.grant(side);
    }
    pair
}

const fn both(options: &str) -> BySide<&str> {
    BySide { source: options, target: options }
}

const ASCII: &str = "encoding 'SQL_ASCII' locale 'C'";
const UTF8: &str = "encoding 'UTF8' locale 'C'";

/// Returns the strategies that a pair of databases can use: hashes are computed from the bytes as
/// stored.
fn strategies_of(options: BySide<&str>) -> &'static [&'static str] {
    if options.source == options.target { strategies() } else { &["auto"] }
}

/// Asserts that a pair gives the same findings with every chunk size.
fn finds(pair: &Pair, options: BySide<&str>, spec: &str, expected: &[&str]) {
    let spec = pair.spec(spec);
    for strategy in strategies_of(options) {
        for rows in ["1", "1000"] {
            let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", rows]);
            let context = format!("{options:?} {strategy} {rows}\n{}", outcome.stderr);
            assert_eq!(outcome.findings(), expected, "{context}");
            outcome.balances().exits(i32::from(!expected.is_empty()));
            for mapping in outcome.records("mapping") {
                assert_eq!(mapping["healed"], 0, "{context}");
            }
        }
    }
}

/// Letters that each encoding orders differently, by its own bytes.
const LETTERS: &[(&str, &str)] = &[
    ("LATIN1", "A,z,~,¤,é,ü,ÿ"),
    ("LATIN9", "A,z,€,Š,é,Ÿ,ÿ"),
    ("WIN1252", "A,z,€,Ž,™,é,ÿ"),
    ("KOI8R", "A,z,А,Б,Ц,Ю,а,б,ц,ю,я,─"),
    ("EUC_JP", "A,z,あ,日,本,ｱ"),
];

#[test]
fn a_text_is_the_same_in_any_encoding_and_so_is_a_key() {
    for (encoding, letters) in LETTERS {
        let encoded = format!("encoding '{encoding}' locale 'C'");
        let table = format!(
            "create table t (k text collate \"C\" primary key, v text);
             insert into t select l || n, l from unnest(string_to_array('{letters}', ',')) l, generate_series(1, 3) n;
             create table u (k text, v text); insert into u select * from t;"
        );
        let last = letters.rsplit(',').next().unwrap();
        let middle = letters.split(',').nth(3).unwrap();
        let changed = format!(
            "{table} update t set v = 'z' where k = '{last}2'; delete from t where k = '{middle}1';
             insert into t values ('{middle}4', 'x'); truncate u; insert into u select * from t;"
        );
        for options in [
            BySide { source: encoded.as_str(), target: UTF8 },
            BySide { source: UTF8, target: encoded.as_str() },
            both(&encoded),
        ] {
            let pair = pair_in(options, &table, &changed);
            let spec = format!(
                "{SPEC}[[mapping]]\nkey = [\"k\"]\nsource.table = \"public.u\"\ntarget.table = \"public.u\"\n"
            );
            let mut expected = Vec::new();
            for name in ["t", "u"] {
                expected
                    .push(format!("{name} mismatch {{\"k\":\"{last}2\"}} v: \"{last}\" | \"z\""));
                expected.push(format!("{name} only_in_source {{\"k\":\"{middle}1\"}}"));
                expected.push(format!("{name} only_in_target {{\"k\":\"{middle}4\"}}"));
            }
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            finds(&pair, options, &spec, &expected);
        }
    }
}

/// A letter that the other side's encoding lacks would cause an error there, so it must not be
/// sent.
#[test]
fn a_key_the_other_side_cannot_encode_is_compared() {
    for encoding in ["LATIN1", "KOI8R", "SQL_ASCII"] {
        let encoded = format!("encoding '{encoding}' locale 'C'");
        let table = "create table t (k text collate \"C\", n int, v text, primary key (k, n));
            insert into t select 'a', n, 'v' from generate_series(1, 20) n;";
        let options = BySide { source: UTF8, target: encoded.as_str() };
        let more = format!("{table} insert into t values ('日本', 1, 'v'), ('😀', 1, 'v');");
        let pair = pair_in(options, &more, table);
        let expected = [
            "t only_in_source {\"k\":\"日本\",\"n\":\"1\"}",
            "t only_in_source {\"k\":\"😀\",\"n\":\"1\"}",
        ];
        finds(&pair, options, SPEC, &expected);
    }
}

/// Bytes that are not valid UTF-8, in row 7 of the source.
const LEGACY: &str = "create table t (id int primary key, v text); set client_encoding = 'SQL_ASCII';
    insert into t select n, 'ä' || n from generate_series(1, 50) n; update t set v = E'caf\\xe9' where id = 7;";

/// One value that is not valid text would end the comparison of its whole table.
#[test]
fn bytes_that_are_no_text_leave_their_row_undecided() {
    let pair = pair_in(
        BySide { source: ASCII, target: UTF8 },
        LEGACY,
        "create table t (id int primary key, v text);
         insert into t select n, 'ä' || n from generate_series(1, 50) n;
         update t set v = 'café' where id = 7; update t set v = 'x' where id = 8;",
    );
    for rows in ["5", "1000"] {
        let outcome = pair.compare(&pair.spec(SPEC), &["--chunk-rows", rows]);
        assert_eq!(outcome.findings(), ["t mismatch {\"id\":\"8\"} v: \"ä8\" | \"x\""]);
        let undecided = outcome.balances().exits(3).records("undecided");
        assert_eq!(undecided.len(), 1, "{undecided:?}");
        assert_eq!(undecided[0]["range"]["through"]["id"], "7", "{undecided:?}");
        assert!(undecided[0]["reason"].as_str().unwrap().contains("not valid in UTF-8"));
    }
    let bytes = "convert_to(v, 'SQL_ASCII')";
    let spec = format!("{SPEC}columns.v = {{ sql = \"{bytes}\", target_sql = \"{bytes}\" }}\n");
    let options = BySide { source: ASCII, target: UTF8 };
    let expected = [
        "t mismatch {\"id\":\"7\"} v: \"\\\\x636166e9\" | \"\\\\x636166c3a9\"",
        "t mismatch {\"id\":\"8\"} v: \"\\\\xc3a438\" | \"\\\\x78\"",
    ];
    finds(&pair, options, &spec, &expected);
}

/// One key that is not valid text would end the whole run.
#[test]
fn a_key_of_bytes_that_are_no_text_ends_no_run() {
    let table = LEGACY.replace("id int primary key, v text", "v text primary key, id int");
    let table = table.replace("select n, 'ä' || n", "select 'ä' || n, n").replace("caf", "\\xff");
    let pair = pair_in(both(ASCII), &table, &format!("{table} update t set id = 0 where id = 3;"));
    let bytes = "convert_to(v, 'SQL_ASCII')";
    let bytes =
        format!("key = [\"v\"]\ncolumns.v = {{ sql = \"{bytes}\", target_sql = \"{bytes}\" }}");
    let as_bytes = SPEC.replace("[[mapping]]", &format!("[[mapping]]\n{bytes}"));
    for strategy in strategies() {
        for rows in ["1", "5", "1000"] {
            let flags = ["--strategy", strategy, "--chunk-rows", rows];
            let outcome = pair.compare(&pair.spec(SPEC), &flags);
            assert_eq!(outcome.findings(), ["t mismatch {\"v\":\"ä3\"} id: \"3\" | \"0\""]);
            // Digests may not need to send the key.
            let code = outcome.balances().code;
            assert!(code == 3 || (code == 1 && *strategy == "digest"), "{code} {}", outcome.stdout);
        }
    }
    let expected = ["t mismatch {\"v\":\"\\\\xc3a433\"} id: \"3\" | \"0\""];
    finds(&pair, both(ASCII), &as_bytes, &expected);
}

/// Rows would be assigned to wrong ranges if a key were ordered by the database's own collation,
/// which is that of a language here; the servers must order a key by its bytes.
#[test]
fn a_default_collation_that_orders_otherwise_changes_nothing() {
    let own = "encoding 'UTF8' locale 'C.UTF-8'";
    let table = "create table t (k text primary key, v text);
        insert into t select chr(64 + n % 26 + 32 * (n % 2)) || n, 'v' || n from generate_series(1, 60) n;
        insert into t values ('ä', 'v'), ('z', 'v'), ('-a', 'v'), ('A b', 'v');";
    let changed =
        format!("{table} update t set v = 'x' where k = 'ä'; delete from t where k = 'z';");
    let icu = |collation: &str| table.replace("k text", &format!("k text collate \"{collation}\""));
    for (options, source) in [
        (BySide { source: own, target: UTF8 }, table.to_owned()),
        (both(UTF8), icu("sv-x-icu")),
        (both(UTF8), icu("en-x-icu")),
        (both(UTF8), icu("C")),
    ] {
        let pair = pair_in(options, &source, &changed);
        let spec = pair.spec(SPEC);
        for strategy in strategies() {
            for rows in ["1", "7", "1000"] {
                let flags = ["--strategy", strategy, "--chunk-rows", rows];
                let outcome = pair.compare(&spec, &flags);
                let expected =
                    ["t mismatch {\"k\":\"ä\"} v: \"v\" | \"x\"", "t only_in_source {\"k\":\"z\"}"];
                assert_eq!(outcome.findings(), expected, "{options:?} {source}");
                outcome.balances().exits(1);
            }
        }
    }
}
