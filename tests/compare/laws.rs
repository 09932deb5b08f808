//! Laws: properties that hold for any tables. PostgreSQL itself is the oracle.
//!
//! Each law runs for a budget of time (`PGRECONCILE_LAW_SECONDS`, 8 by default). A failure prints
//! its seed, which `PGRECONCILE_LAW_SEED` replays.

use std::time::Instant;

use pgreconcile::row::{Key, KeyField, KeyOrder};
use pgreconcile::schema::{BySide, Side};

use crate::support::dice::{Dice, budget, first_seed};
use crate::support::{Outcome, Pair, strategies};

/// Types with values that are easily confused, and PostgreSQL's test for two values of the type:
/// `is distinct from` on this form of them.
const TYPES: &[(&str, &[&str], &str)] = &[
    ("int4", &["0", "1", "-1", "-5", "2147483647"], "#"),
    ("int8", &["0", "1", "4294967296", "-5", "4294967291"], "#"),
    ("numeric", &["0", "1", "1.0", "1.00", "-1", "'NaN'", "'Infinity'", "1e30", "0.001"], "#"),
    ("numeric(10,2)", &["0", "1.10", "-1.10", "99999999.99", "'NaN'"], "#"),
    ("float8", &["0", "'-0'", "1", "-1", "'NaN'", "'Infinity'", "1e-300", "0.1"], "#"),
    ("float4", &["0", "'-0'", "1.1", "'NaN'", "16777216"], "#"),
    ("text", &["''", "'a'", "'a '", "'A'", "'ä'", "'NULL'", "E'a\\nb'"], "# collate \"C\""),
    ("char(4)", &["''", "'a'", "'ab'", "'b'"], "#"),
    ("bool", &["true", "false"], "#"),
    ("bytea", &["''", "'\\x00'", "'\\x0000'", "'\\xff'"], "#"),
    (
        "uuid",
        &["'00000000-0000-0000-0000-000000000001'", "'10000000-0000-0000-0000-000000000000'"],
        "#",
    ),
    ("date", &["'2000-01-01'", "'infinity'", "'0001-01-01 BC'"], "#"),
    ("timestamp", &["'2000-01-01'", "'2000-01-01 00:00:00.000001'", "'-infinity'"], "#"),
    (
        "timestamptz",
        &["'2000-01-01 00:00+00'", "'2000-01-01 01:11:34.967296+00'", "'infinity'"],
        "#",
    ),
    ("interval", &["'1 day'", "'24:00:00'", "'1 mon'", "'30 days'", "'0'"], "#::text"),
    ("timetz", &["'10:00+00'", "'11:00+01'", "'00:00+00'"], "#::text"),
    ("jsonb", &["'1'", "'1.0'", "'[1, 2]'", "'[2, 1]'", "'{}'", "'null'"], "#::text"),
    ("json", &["'1'", "' 1'", "'{\"a\":1}'", "'{\"a\": 1}'"], "#::text"),
    ("int4[]", &["'{}'", "'{1,2}'", "'{{1,2}}'", "'[0:1]={1,2}'", "'{NULL}'"], "#::text"),
    (
        "text[]",
        &["'{}'", "'{NULL}'", "'{\"NULL\"}'", "'{\"\"}'", "'{a,b}'", "'{\"a,b\"}'"],
        "#::text",
    ),
    ("numrange", &["'empty'", "'[1,2)'", "'(1,2]'", "'[1.0,2)'", "'(,)'"], "#::text"),
    ("inet", &["'10.0.0.1'", "'10.0.0.1/8'", "'::1'"], "#::text"),
];

/// Key types, with an expression that turns a number into a key.
const KEYS: &[(&str, &str)] = &[
    ("int4", "n"),
    ("int8", "n * 4294967296 - 3"),
    ("uuid", "md5(n::text)::uuid"),
    ("text collate \"C\"", "chr(60 + n * 7) || n"),
    ("text collate \"und-x-icu\"", "chr(60 + n * 7) || n"),
    // The other side orders these differently.
    ("text collate \"da-x-icu\"", "chr(60 + n * 7) || n"),
    ("numeric", "(n - 20) / 8.0"),
    ("date", "date '2000-01-01' + n"),
    ("timestamptz", "timestamptz '2000-01-01 00:00+00' + n * interval '1 us'"),
    ("float8", "(n - 20)::float8 / 8"),
];

/// Returns two random tables of one shape, `name` in schemas `s` and `t`: the SQL that creates
/// them, and the query by which PostgreSQL computes the differences.
fn random_tables(dice: &mut Dice, name: &str) -> (String, String) {
    let (key_type, key) = dice.pick(KEYS);
    let composite = dice.one_in(3);
    let columns: Vec<_> = (0..1 + dice.below(4)).map(|_| dice.pick(TYPES)).collect();
    let rows = dice.pick(&[0, 1, 3, 40]);
    let mut sql = String::new();
    for schema in ["s", "t"] {
        let key_type =
            if schema == "t" { key_type.replace("da-x", "sv-x") } else { key_type.to_owned() };
        sql.push_str(&format!("create table {schema}.{name} (k {key_type}, k2 int4"));
        for (place, (column_type, ..)) in columns.iter().enumerate() {
            sql.push_str(&format!(", c{place} {column_type}"));
        }
        let primary = if composite { "k2, k" } else { "k" };
        sql.push_str(&format!(", primary key ({primary}));\n"));
    }
    for n in 0..rows {
        let mut values = vec![replace_word(key, "n", &n.to_string()), (n % 3).to_string()];
        for (_, literals, _) in &columns {
            values.push(if dice.one_in(6) { "null" } else { dice.pick(literals) }.to_owned());
        }
        if !dice.one_in(12) {
            sql.push_str(&format!("insert into s.{name} values ({});\n", values.join(", ")));
        }
        if dice.one_in(4) {
            let place = dice.below(columns.len() as u64) as usize;
            values[2 + place] =
                if dice.one_in(4) { "null" } else { dice.pick(columns[place].1) }.to_owned();
        }
        if !dice.one_in(12) {
            sql.push_str(&format!("insert into t.{name} values ({});\n", values.join(", ")));
        }
    }
    let differs = columns.iter().enumerate().map(|(place, (.., form))| {
        let side = |side: &str| form.replace('#', &format!("{side}.c{place}"));
        format!("{} is distinct from {}", side("s"), side("t"))
    });
    let by_bytes = if key_type.contains("collate") { "collate \"C\"" } else { "" };
    let k2 = if composite { "" } else { " or s.k2 is distinct from t.k2" };
    let oracle = format!(
        "select count(*) filter (where t.k is null), count(*) filter (where s.k is null),
         count(*) filter (where s.k is not null and t.k is not null and ({}{k2}))
         from s.{name} s full join t.{name} t on s.k {by_bytes} = t.k {by_bytes} {};\n",
        differs.collect::<Vec<_>>().join(" or "),
        if composite { "and s.k2 = t.k2" } else { "" }
    );
    (sql, oracle)
}

fn replace_word(text: &str, word: &str, by: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let alone = !rest[..at].ends_with(is_word) && !rest[at + word.len()..].starts_with(is_word);
        out.push_str(&rest[..at]);
        out.push_str(if alone { by } else { word });
        rest = &rest[at + word.len()..];
    }
    out + rest
}

/// Returns a run's counts for each mapping: only in source, only in target, mismatch.
fn counted(outcome: &Outcome) -> Vec<String> {
    let count = |record: &serde_json::Value, name: &str| record[name].as_u64().unwrap();
    let kinds = ["only_in_source", "only_in_target", "mismatch"];
    let line = |record: &serde_json::Value| {
        let counts = kinds.map(|kind| count(record, kind).to_string()).join("|");
        (record["mapping"].as_str().unwrap().to_owned(), counts)
    };
    let mut lines: Vec<_> = outcome.records("mapping").iter().map(line).collect();
    lines.sort();
    lines.into_iter().map(|(_, counts)| counts).collect()
}

#[test]
fn digest_stream_and_postgresqls_own_join_agree() {
    const TABLES: usize = 6;
    let until = Instant::now() + budget();
    let mut seed = first_seed();
    let mut rounds = 0;
    while rounds == 0 || Instant::now() < until {
        let mut dice = Dice(seed);
        let mut sql = "create schema s; create schema t;\n".to_owned();
        let mut oracles = String::new();
        let mut spec = String::new();
        for table in 0..TABLES {
            let name = format!("t{table}");
            let (tables, oracle) = random_tables(&mut dice, &name);
            sql.push_str(&tables);
            oracles.push_str(&oracle);
            spec.push_str(&format!(
                "[[mapping]]\nname = \"{name}\"\n[mapping.source]\ntable = \"s.{name}\"\n\
                 [mapping.target]\ntable = \"t.{name}\"\n"
            ));
        }
        // Both schemas in one database, so that one query can join them.
        let pair = Pair::new(&sql, "");
        let expected: Vec<String> =
            pair.sql(Side::Source, &oracles).lines().map(str::to_owned).collect();
        let spec = pair.spec(&spec);
        let url = pair.url(Side::Source);
        let chunk = dice.pick(&["1", "2", "5", "1000"]);
        for strategy in strategies() {
            let outcome = pair
                .program()
                .env("TARGET_URL", &url)
                .args(&["compare", spec.to_str().unwrap(), "--settle", "0s", "--format", "jsonl"])
                .args(&["--progress", "never", "--strategy", strategy, "--chunk-rows", chunk])
                .run();
            assert_eq!(
                counted(&outcome),
                expected,
                "PGRECONCILE_LAW_SEED={seed} {strategy} --chunk-rows {chunk}\n{sql}\n{}",
                outcome.stderr
            );
            outcome.balances();
        }
        rounds += 1;
        seed = dice.next();
    }
    println!("{rounds} rounds of {TABLES} tables");
}

/// Values of each ordered key type, and their binary form as hexadecimal digits.
const ORDERED: &[(KeyField, &str, &str)] = &[
    (
        KeyField::Numeric,
        "numeric_send(trim_scale(k))",
        "select (case when n % 7 = 0 then -1 else 1 end * (n * 7919 % 10007) * 10 ^ ((n % 23) - 11))::numeric k
         from generate_series(0, 300) n
         union values ('NaN'), ('Infinity'), ('-Infinity'), (0), (1e-300), (-1e300), (10000), (9999.9999)",
    ),
    (
        KeyField::Float,
        "float8send(k + 0)",
        "select ((n * 7919 % 10007 - 5000) * 10 ^ ((n % 23) - 11))::float8 k from generate_series(0, 300) n
         union values ('NaN'::float8), ('Infinity'), ('-Infinity'), (0), (1e-308), (-1e308)",
    ),
    (
        KeyField::Signed,
        "int8send(k)",
        "select (n - 150) * 61489146912 k from generate_series(0, 300) n
         union values (9223372036854775807), (-9223372036854775808)",
    ),
    (
        KeyField::Signed,
        "timestamptz_send(k)",
        "select timestamptz '2000-01-01' + (n - 150) * interval '40 days 1 us' k from generate_series(0, 300) n
         union values ('infinity'::timestamptz), ('-infinity'), ('4713-01-01 BC')",
    ),
    (
        KeyField::Bytes,
        "textsend(k)",
        "select substr(md5(n::text), 1, n % 9) || chr(33 + n % 90) || case when n % 5 = 0 then 'é' else '' end
         collate \"C\" k from generate_series(0, 300) n union values (''), (' '), ('~'), ('日本')",
    ),
    (KeyField::Bytes, "uuid_send(k)", "select md5(n::text)::uuid k from generate_series(0, 300) n"),
    (KeyField::Bytes, "boolsend(k)", "select true k union select false"),
    (KeyField::Bytes, "pg_lsn_send(k)", "select ('0/0'::pg_lsn + n * 12345678901) k from generate_series(0, 300) n"),
    (
        KeyField::Bytes,
        "macaddr_send(k)",
        "select ('08:00:2b:01:02:' || lpad(to_hex(n), 2, '0'))::macaddr k from generate_series(0, 255) n
         union select (lpad(to_hex(n), 2, '0') || ':00:2b:01:02:03')::macaddr from generate_series(0, 255) n",
    ),
];

#[test]
fn keys_are_ordered_as_the_servers_order_them() {
    let pair = Pair::new("", "");
    for (field, send, values) in ORDERED {
        let sql = format!("select encode({send}, 'hex') from ({values}) v order by k;");
        let keys: Vec<Key> = pair
            .sql(Side::Source, &sql)
            .lines()
            .map(|line| {
                let digit = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
                let bytes: Vec<u8> = (0..line.len()).step_by(2).map(digit).collect();
                Key::new([bytes.as_slice()])
            })
            .collect();
        assert!(keys.len() > 1, "{send}");
        let order = KeyOrder(vec![*field]);
        for neighbours in keys.windows(2) {
            assert!(
                order.compare(&neighbours[0], &neighbours[1]).is_lt(),
                "{send}: {neighbours:?}"
            );
        }
    }
}

/// A row at the boundary of two chunks would be skipped by both.
#[test]
fn one_changed_row_is_found_anywhere_in_a_large_table() {
    // One difference in a chunk of many rows: the drill-down has to find the needle.
    let rows = "create table t (id int primary key, v text, n numeric);
        insert into t select n, 'v' || n, n / 8.0 from generate_series(1, 30000) n;";
    let pair = Pair::new(rows, rows);
    let spec = pair.spec("[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n");
    let mut dice = Dice(first_seed());
    for _ in 0..4 {
        let id = 1 + dice.below(30_000);
        let (change, undo, kind) = dice.pick(&[
            ("update t set n = -n where id = $", "update t set n = -n where id = $", "mismatch"),
            (
                "delete from t where id = $",
                "insert into t select $, 'v$', $ / 8.0",
                "only_in_source",
            ),
            ("insert into t values (-$, '', 0)", "delete from t where id = -$", "only_in_target"),
        ]);
        pair.sql(Side::Target, &change.replace('$', &id.to_string()));
        for strategy in strategies() {
            let outcome = pair.compare(&spec, &["--strategy", strategy]);
            let found = outcome.findings();
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(kind) && found[0].contains(&format!("{id}\"")), "{found:?}");
            let rows: BySide<u64> =
                BySide::new(|side| outcome.mapping()["rows"][side.name()].as_u64().unwrap());
            assert!(rows.all(|rows| rows.abs_diff(30_000) <= 1), "{rows:?}");
            outcome.balances().exits(1);
        }
        pair.sql(Side::Target, &undo.replace('$', &id.to_string()));
    }
    pair.compare(&spec, &[]).balances().exits(0);
}
