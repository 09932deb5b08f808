//! Keys of every kind: each of them finds the same three differences, and no other.

use pgreconcile::schema::Side;

use crate::support::{Pair, strategies};

/// A kind of key: its column, and its value for a number, on the source and on the target.
struct Keyed {
    source: (&'static str, &'static str),
    target: (&'static str, &'static str),
}

const fn both(column: &'static str, value: &'static str) -> Keyed {
    Keyed { source: (column, value), target: (column, value) }
}

const fn meeting(
    source: (&'static str, &'static str),
    target: (&'static str, &'static str),
) -> Keyed {
    Keyed { source, target }
}

const LETTERS: &str = "chr(64 + n % 26 + 32 * (n % 2)) || n";

const KEYS: &[Keyed] = &[
    both("int2", "n - 20"),
    both("int8", "n * 4294967296 - 5"),
    both("numeric", "(n - 20) / 8.0"),
    both("numeric(20,4)", "(n - 20) / 8.0"),
    both(
        "float4",
        "(array['-Infinity', 'Infinity', 'NaN', '-1', '0'])[least(n, 5)]::float4 + greatest(n, 5) - 5",
    ),
    both(
        "float8",
        "(array['-Infinity', 'Infinity', 'NaN', '-1', '0'])[least(n, 5)]::float8 + greatest(n, 5) - 5",
    ),
    both("text collate \"C\"", LETTERS),
    both("text collate \"und-x-icu\"", LETTERS),
    both("text collate loose", LETTERS),
    both("varchar(12)", LETTERS),
    both("char(12)", LETTERS),
    both("citext", LETTERS),
    both("bytea", "decode(md5(n::text), 'hex')"),
    both("uuid", "md5(n::text)::uuid"),
    both("bool", "n % 2 = 0"),
    both("date", "date '2000-01-01' + n * 100 - 2000"),
    both("time", "time '00:00' + n * interval '1 us'"),
    both("timestamp", "timestamp '2000-01-01' + (n - 20) * interval '71 min'"),
    both("timestamptz", "timestamptz '2000-01-01 00:00+00' + (n - 20) * interval '1 us'"),
    both("timetz", "timetz '10:00+00' + n * interval '1 s'"),
    both("interval", "(n - 20) * interval '1 hour'"),
    both("inet", "'10.0.0.0'::inet + n"),
    both("macaddr", "('08:00:2b:01:02:' || lpad(to_hex(n), 2, '0'))::macaddr"),
    both("pg_lsn", "('1/' || to_hex(n))::pg_lsn"),
    both("mood", "(array['sad', 'ok', 'happy'])[1 + n % 3]::mood"),
    both("int4[]", "array[n % 3, n]"),
    both("int4range", "int4range(n, n + 2)"),
    both("jsonb", "to_jsonb(n)"),
    both("money", "n::money"),
    meeting(("int4", "n"), ("int8", "n")),
    meeting(("int2", "n"), ("numeric", "n || '.00'")),
    meeting(("numeric(8,2)", "n / 4.0"), ("numeric", "n / 4.0")),
    meeting(("text collate \"C\"", LETTERS), ("text collate \"und-x-icu\"", LETTERS)),
    meeting(("text collate \"da-x-icu\"", LETTERS), ("text collate \"sv-x-icu\"", LETTERS)),
    meeting(("citext", LETTERS), ("text", LETTERS)),
    meeting(("char(12)", LETTERS), ("varchar(12)", LETTERS)),
    meeting(("char(12)", LETTERS), ("char(20)", LETTERS)),
    meeting(("uuid", "md5(n::text)::uuid"), ("text", "'{' || upper(md5(n::text)) || '}'")),
    meeting(
        ("date", "date '2000-01-01' + n"),
        ("timestamp", "timestamp '2000-01-01' + n * interval '1 day'"),
    ),
    meeting(
        ("mood", "(array['sad', 'ok', 'happy'])[1 + n % 3]::mood"),
        ("text", "(array['sad', 'ok', 'happy'])[1 + n % 3]"),
    ),
    meeting(("float4", "n / 8.0"), ("float8", "n / 8.0")),
];

const TYPES: &str = "create extension citext; create type mood as enum ('sad', 'ok', 'happy');
    create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";

/// Returns the SQL of a table for each kind of key, with a second key column, since some keys
/// repeat.
fn tables(side: Side) -> String {
    let mut sql = TYPES.to_owned();
    for (place, keyed) in KEYS.iter().enumerate() {
        let (column, value) = if side == Side::Source { keyed.source } else { keyed.target };
        let name = if side == Side::Source { "k" } else { "renamed" };
        let value = if value.contains("|| '.00'") {
            format!("({value})::numeric")
        } else {
            value.to_owned()
        };
        sql.push_str(&format!(
            "create table t{place} ({name} {column}, n int, v text, primary key ({name}, n));
             insert into t{place} select {value}, n, 'v' || n from generate_series(1, 40) n;\n"
        ));
    }
    sql
}

#[test]
fn three_differences_are_found_by_keys_of_every_kind() {
    let pair = Pair::new(&tables(Side::Source), &tables(Side::Target));
    let mut spec = String::new();
    for place in 0..KEYS.len() {
        // This order is neither that of the index nor that of the columns.
        spec.push_str(&format!(
            "[[mapping]]\nkey = [\"n\", \"renamed\"]\n[mapping.source]\ntable = \"public.t{place}\"\n\
             [mapping.target]\ntable = \"public.t{place}\"\n[mapping.columns]\nrenamed = \"k\"\n"
        ));
        pair.sql(Side::Source, &format!("delete from t{place} where n = 31"));
        pair.sql(
            Side::Target,
            &format!("delete from t{place} where n = 7; update t{place} set v = 'x' where n = 19"),
        );
    }
    let spec = pair.spec(&spec);
    for strategy in strategies() {
        for rows in ["1", "6", "1000"] {
            let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", rows]);
            let findings = outcome.records("finding");
            for (place, keyed) in KEYS.iter().enumerate() {
                let mut found: Vec<String> = findings
                    .iter()
                    .filter(|finding| finding["mapping"] == format!("t{place}"))
                    .map(|finding| {
                        format!("{} {}", finding["kind"].as_str().unwrap(), finding["key"]["n"])
                    })
                    .collect();
                found.sort();
                let expected = ["mismatch \"19\"", "only_in_source \"7\"", "only_in_target \"31\""];
                assert_eq!(
                    found, expected,
                    "{} {strategy} {rows}\n{}",
                    keyed.source.0, outcome.stderr
                );
            }
            outcome.balances().exits(1);
        }
    }
}

#[test]
fn values_that_a_loose_equality_merges_are_two_keys() {
    for column in ["citext", "text collate loose"] {
        let table = |values: &str| {
            format!(
                "{TYPES} create table t (id {column} primary key, v text); insert into t values {values};"
            )
        };
        let pair = Pair::new(&table("('a', '1'), ('B', '2')"), &table("('A', '1'), ('B', '2')"));
        let spec =
            pair.spec("[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n");
        for strategy in strategies() {
            let outcome = pair.compare(&spec, &["--strategy", strategy]);
            let expected = ["t only_in_source {\"id\":\"a\"}", "t only_in_target {\"id\":\"A\"}"];
            assert_eq!(outcome.findings(), expected);
            outcome.balances().exits(1);
        }
    }
}

#[test]
fn a_key_that_is_computed_and_a_text_that_is_no_uuid() {
    let pair = Pair::new(
        "create table t (code text primary key, v text);
         insert into t select 'S-' || n, 'v' || n from generate_series(1, 50) n;
         create table u (id text primary key); insert into u values ('0188a1f2-3c4d-7e5f-8a6b-9c0d1e2f3a4b');",
        "create table t (id int primary key, v text);
         insert into t select n, 'v' || n from generate_series(2, 51) n;
         create table u (id uuid primary key); insert into u values ('0188a1f2-3c4d-7e5f-8a6b-9c0d1e2f3a4b');",
    );
    let spec = pair.spec(
        "[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n\
         columns.id = { sql = \"substr(code, 3)::int\" }\n\
         [[mapping]]\nsource.table = \"public.u\"\ntarget.table = \"public.u\"\n",
    );
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        let expected = ["t only_in_source {\"id\":\"1\"}", "t only_in_target {\"id\":\"51\"}"];
        assert_eq!(outcome.findings(), expected);
        outcome.balances().exits(1);
    }
    pair.sql(Side::Source, "insert into u values ('no uuid')");
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--strategy", strategy, "--mapping", "u"]);
        assert_eq!(outcome.findings(), Vec::<String>::new());
        outcome.balances().exits(3);
        assert!(outcome.stdout.contains("\"type\":\"undecided\""), "{}", outcome.stdout);
    }
}

/// Rows would fall into another range on each side and be reported as missing.
#[test]
fn only_a_collation_of_both_sides_orders_ranges() {
    let table = |collation: &str| {
        format!(
            "create table t (id text collate \"{collation}\" primary key, v text);
             insert into t select chr(64 + n % 26 + 32 * (n % 2)) || n, 'v' || n from generate_series(1, 300) n;
             create table other (id int); analyze t;"
        )
    };
    for (other, partition) in [("und-x-icu", "ranges"), ("sv-x-icu", "buckets"), ("C", "buckets")] {
        let pair = Pair::new(&table("und-x-icu"), &table(other));
        let spec =
            pair.spec("[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n");
        let plan = pair.program().args(&["plan", spec.to_str().unwrap(), "--format", "json"]).run();
        let plan: serde_json::Value = serde_json::from_str(&plan.exits(0).stdout).unwrap();
        let found =
            plan.pointer("/mappings/0/partition").or(plan.pointer("/0/mappings/0/partition"));
        if strategies()[0] == "digest" {
            assert_eq!(found.unwrap(), partition, "{other}: {plan}");
        }
        pair.sql(
            Side::Source,
            "delete from t where id like '%7'; update t set v = 'x' where id like '%44'",
        );
        for strategy in strategies() {
            for rows in ["1", "50", "1000"] {
                let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", rows]);
                let mapping = outcome.balances().exits(1).mapping();
                assert_eq!(
                    (&mapping["only_in_target"], &mapping["mismatch"]),
                    (&30.into(), &3.into())
                );
            }
        }
    }
}

/// Every chunk would recheck its few candidates separately, each time with a scan of both tables.
#[test]
fn rechecks_without_an_index_share_their_scans() {
    let table = "create table t (id int, k text, v int); \
                 insert into t select n / 3, n % 3, n from generate_series(1, 9000) n; analyze t;";
    let pair = Pair::new(table, &format!("{table} update t set v = -v where v % 2 = 0"));
    let spec = pair.spec(
        "[[mapping]]\nkey = [\"id\", \"k\"]\ntarget.table = \"public.t\"\n\
         [mapping.source]\ntable = \"public.t\"\n\
         where = \"v % 1000 <> 0 or pg_sleep(0.02) is not null\"\n",
    );
    for strategy in strategies() {
        let flags = ["--strategy", strategy, "--chunk-rows", "40", "--jobs", "1", "-vv"];
        let outcome = pair.compare(&spec, &flags);
        assert_eq!(outcome.balances().exits(1).mapping()["mismatch"], 4_500);
        let told = |words: &str| outcome.stderr.matches(words).count();
        let (looks, chunks) = (told("recheck started"), told("chunk finished"));
        assert!(looks <= 4 + chunks / 10, "{strategy}: {looks} looks, {chunks} chunks");
    }
}

/// A finding would have another identity on each side, if the padding were a part of the key.
#[test]
fn char_keys_are_reported_alike_by_both_sides() {
    for (of_source, of_target) in [("char(5)", "char(9)"), ("char(5)", "text"), ("text", "char(5)")]
    {
        let table = |key: &str| format!("create table t (id {key} primary key, v int)");
        let pair = Pair::new(&table(of_source), &table(of_target));
        pair.sql(Side::Source, "insert into t values ('a', 1), ('b', 1)");
        pair.sql(Side::Target, "insert into t values ('b', 2), ('c', 1)");
        let spec = pair.spec(crate::support::MAPPING);
        let found = pair.compare(&spec, &[]).exits(1).findings();
        let expected = [
            "t mismatch {\"id\":\"b\"} v: \"1\" | \"2\"",
            "t only_in_source {\"id\":\"a\"}",
            "t only_in_target {\"id\":\"c\"}",
        ];
        assert_eq!(found, expected, "{of_source} {of_target}");
    }
}
