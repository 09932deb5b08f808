//! Rules, tolerances and redaction beyond the scenarios: row counts, plans, refusals, and that no
//! output contains a redacted value.

use std::collections::BTreeMap;

use pgreconcile::schema::Side;

use crate::support::{Outcome, Pair};

const TABLES: &str = "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n\
                      [mapping.target]\ntable = \"public.t\"\n[mapping.columns]\n";

/// Writes a spec that maps a pair of tables with these columns.
fn mapped(pair: &Pair, columns: &str) -> std::path::PathBuf {
    pair.spec(&format!("{TABLES}{columns}\n"))
}

#[test]
fn rows_within_a_tolerance_match_and_are_not_healed() {
    let rows = |shift: &str| {
        format!(
            "create table t (id int primary key, price numeric, at timestamptz, name text);
             insert into t select n, n + {shift}, '2026-01-01+00'::timestamptz + {shift} * interval '1 s',
                 case when {shift} > 0 then 'Ä' else 'ä' end from generate_series(1, 3000) n;"
        )
    };
    let pair = Pair::new(&rows("0"), &rows("0.005"));
    let columns = "price = { from = \"price\", tolerance = \"0.005\" }\n\
                   at = { from = \"at\", tolerance = \"5ms\" }\n\
                   name = { from = \"name\", rule = \"case_insensitive\" }\n";
    let spec = mapped(&pair, columns);
    for strategy in ["auto", "digest", "stream"] {
        let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", "1000"]);
        let mapping = outcome.balances().exits(0).mapping();
        let streamed = if strategy == "digest" { "digest" } else { "stream" };
        assert_eq!(mapping["strategy"], streamed);
        assert_eq!(mapping["books"]["source"]["matched"], 3000, "{mapping}");
        assert_eq!((&mapping["healed"], &mapping["mismatch"]), (&0.into(), &0.into()), "{mapping}");
    }
    pair.sql(Side::Target, "update t set price = price + 0.001 where id = 7");
    let expected = ["t mismatch {\"id\":\"7\"} price: \"7\" | \"7.006\""];
    for strategy in ["digest", "stream"] {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        assert_eq!(outcome.findings(), expected);
        assert_eq!(outcome.balances().exits(1).mapping()["healed"], 0);
    }
}

/// A tolerance would be applied with another arithmetic than PostgreSQL's, which is the oracle
/// here: values of every size, and differences at the bound and one unit in the 25th place to
/// either side.
#[test]
fn numbers_are_measured_as_postgresql_measures_them() {
    let value = "trim_scale((hashint8extended(n, 1)::numeric % 10::numeric ^ (n % 17))
                 * ('1e-' || n % 20)::numeric + (n % 5) * ('1e' || 4 * (n % 9))::numeric)";
    let shift = "((array[-1, 1])[1 + n % 2] * (0.005 + (n % 3 - 1) * '1e-25'::numeric)
                 * (n % 7 > 1)::int)";
    let rows = |value: &str| {
        format!(
            "create table t (id int primary key, v numeric);
             insert into t select n, {value} from generate_series(1, 2000) n;"
        )
    };
    let pair = Pair::new(&rows(value), &rows(&format!("{value} + {shift}")));
    let beyond = format!(
        "select count(*) from (select {value} s, {value} + {shift} t from generate_series(1, 2000) n) v
         where abs(s - t) > 0.005;"
    );
    let beyond: u64 = pair.sql(Side::Source, &beyond).trim().parse().unwrap();
    assert!((400..600).contains(&beyond), "{beyond}");
    let spec = mapped(&pair, "v = { from = \"v\", tolerance = \"0.005\" }");
    for strategy in ["digest", "stream"] {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        assert_eq!(outcome.balances().exits(1).mapping()["mismatch"], beyond);
    }
}

#[test]
fn a_text_that_is_no_json_leaves_its_row_undecided_and_no_other() {
    let rows = |odd: &str| {
        format!(
            "create table t (id int primary key, doc text);
             insert into t select n, '{{\"n\": ' || n || '}}' from generate_series(1, 300) n;
             update t set doc = '{odd}' where id = 123; update t set doc = '[{odd}]' where id = 200;"
        )
    };
    let pair = Pair::new(&rows("{broken"), &rows("null"));
    let spec = mapped(&pair, "doc = { from = \"doc\", rule = \"json\" }");
    pair.sql(Side::Source, "update t set doc = '[1]' where id = 200");
    // JSON, but too deep for the server's stack.
    pair.sql(
        Side::Target,
        "update t set doc = repeat('[', 90000) || repeat(']', 90000) where id = 5",
    );
    for strategy in ["digest", "stream"] {
        let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", "100"]);
        let undecided = outcome.balances().exits(3).records("undecided");
        let mut through: Vec<_> =
            undecided.iter().map(|range| range["range"]["through"]["id"].clone()).collect();
        through.sort_by_key(ToString::to_string);
        assert_eq!(through, ["123", "5"], "{undecided:?}");
        assert_eq!(outcome.findings(), ["t mismatch {\"id\":\"200\"} doc: \"[1]\" | \"[null]\""]);
        assert!(!outcome.stdout.contains("broken") && !outcome.stderr.contains("broken"));
    }
}

/// Values that may not appear in any output, as digits and letters that occur nowhere else.
const SECRETS: [&str; 4] = ["jane.zq@example.org", "mary.zq@example.org", "zqkey", "7310468"];

fn redacted() -> (Pair, std::path::PathBuf) {
    let table =
        "create table t (k text collate \"C\" primary key, email text, pin int, twin text);";
    let rows =
        "insert into t select 'zqkey' || lpad(n::text, 6, '0'), 'jane.zq@example.org', 7310468, 'a'
                from generate_series(1, 10) n;";
    let source = format!(
        "{table} {rows} insert into t select 'zqkeys' || lpad(n::text, 6, '0')
         from generate_series(1, 10050) n;"
    );
    let target = format!(
        "{table} {rows} update t set email = 'mary.zq@example.org' where k like '%1';
         update t set email = null, pin = 7310469 where k like '%2';
         update t set email = 'mary.zq@example.org', twin = 'mary.zq@example.org' where k like '%3';
         delete from t where k like '%4';"
    );
    let pair = Pair::new(&source, &target);
    let redact = |name: &str| format!("{name} = {{ from = \"{name}\", redact = true }}\n");
    let columns: String = ["k", "email", "pin", "twin"].map(redact).concat();
    let spec = mapped(&pair, &columns);
    (pair, spec)
}

fn run(pair: &Pair, spec: &std::path::Path, format: &str, secret: &str) -> Outcome {
    run_with(pair, spec, format, secret, &["--chunk-rows", "1000"])
}

fn run_with(
    pair: &Pair,
    spec: &std::path::Path,
    format: &str,
    secret: &str,
    flags: &[&str],
) -> Outcome {
    let spec = spec.to_str().unwrap();
    pair.program()
        .env("PGRECONCILE_REDACT_KEY", secret)
        .args(&["compare", spec, "--settle", "0s", "--format", format, "-v"])
        .args(flags)
        .args(&["--report", "r.json", "--report", "r.csv", "--report", "r.jsonl"])
        .run()
}

#[test]
fn a_redacted_value_stands_in_no_output() {
    let (pair, spec) = redacted();
    for format in ["terminal", "json", "jsonl", "csv"] {
        let outcome = run(&pair, &spec, format, "");
        outcome.exits(1);
        let report = |name| std::fs::read_to_string(pair.scratch.path().join(name)).unwrap();
        let texts =
            [report("r.json"), report("r.csv"), report("r.jsonl"), outcome.stdout, outcome.stderr];
        assert!(texts[..4].iter().all(|text| text.contains("redacted:")), "{format}");
        for secret in SECRETS {
            assert!(texts.iter().all(|text| !text.contains(secret)), "{format}: {secret}");
        }
    }
}

#[test]
fn equal_values_look_equal_and_null_is_seen() {
    let (pair, spec) = redacted();
    let columns = |outcome: &Outcome| -> BTreeMap<String, (String, String)> {
        let findings = outcome.records("finding");
        let values = findings.iter().filter_map(|f| f["columns"].as_object()).flatten();
        values
            .map(|(name, sides)| {
                (name.clone(), (sides["source"].to_string(), sides["target"].to_string()))
            })
            .collect()
    };
    let outcome = run(&pair, &spec, "jsonl", "secret");
    let kinds: Vec<_> = outcome
        .exits(1)
        .records("finding")
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "mismatch").count(), 3, "{kinds:?}");
    let emails: Vec<_> = outcome
        .records("finding")
        .iter()
        .map(|finding| finding["columns"]["email"]["target"].clone())
        .filter(|value| value.is_string())
        .collect();
    assert!(emails.len() == 2 && emails[0] == emails[1], "{emails:?}");
    assert!(outcome.stdout.contains("\"target\":null"));
    let first = columns(&outcome);
    assert_eq!(first["twin"].1, emails[0].to_string(), "one value is one hash in every column");
    assert_ne!(first["pin"].0, first["pin"].1);
    for flags in [
        ["--strategy", "stream", "--chunk-rows", "7000"],
        ["--strategy", "digest", "--chunk-rows", "500"],
    ] {
        let again = run_with(&pair, &spec, "jsonl", "secret", &flags);
        assert_eq!(again.balances().findings(), outcome.findings(), "the same secret, {flags:?}");
    }
    assert_ne!(first, columns(&run(&pair, &spec, "jsonl", "another")), "another secret");
    let of_process = columns(&run(&pair, &spec, "jsonl", ""));
    assert_ne!(of_process, columns(&run(&pair, &spec, "jsonl", "")), "a secret of each process");
}

#[test]
fn plan_and_check_show_the_rules_of_a_column() {
    let table = "create table t (id int primary key, price numeric, state text);";
    let pair = Pair::new(table, table);
    let columns = "price = { from = \"price\", tolerance = \"0.005\", redact = true }\n\
                   state = { from = \"state\", rule = \"trimmed\" }";
    let spec = mapped(&pair, columns);
    let call = |args: &[&str]| {
        let outcome = pair.program().args(args).arg(spec.to_str().unwrap()).run();
        outcome.exits(0);
        outcome
    };
    let plan = call(&["plan"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plan.contains("numeric without trailing zeros; tolerance 0.005; redacted"), "{plan}");
    assert!(plan.contains("text without whitespace at its ends; rule trimmed"), "{plan}");
    assert!(plan.contains("stream: pair \"price\" has a tolerance"), "{plan}");
    let json: serde_json::Value =
        serde_json::from_str(&call(&["plan", "--format", "json"]).stdout).unwrap();
    let told = |pair: usize| {
        let pair = &json["mappings"][0]["pairs"][pair];
        format!("{} {} {} {}", pair["pair"], pair["rule"], pair["tolerance"], pair["redacted"])
    };
    assert_eq!(told(0), "\"id\" \"exact\" null false");
    assert_eq!(told(1), "\"price\" \"exact\" \"0.005\" true");
    assert_eq!(told(2), "\"state\" \"trimmed\" null false");
    let check = call(&["check"]).stderr;
    assert!(check.contains("t: pair \"price\": tolerance 0.005; redacted"), "{check}");
    assert!(check.contains("t: pair \"state\": rule trimmed"), "{check}");
    let digest = call(&["plan", "--strategy", "digest"]).stdout;
    assert!(digest.contains("digest: requested"), "{digest}");
}

#[test]
fn what_a_pair_cannot_have_is_refused_at_its_place() {
    let table = "create table t (id int primary key, at timestamptz, n numeric, b bool, s text);";
    let pair = Pair::new(table, table);
    for (columns, message, place) in [
        ("n = { from = \"n\", tolerance = \"1s\" }", "the tolerance \"1s\" is not a number", "1s"),
        ("at = { from = \"at\", tolerance = \"1\" }", "the tolerance \"1\" is not a duration", "1"),
        ("b = { from = \"b\", tolerance = \"1\" }", "these types take no tolerance", "1"),
        ("b = { from = \"b\", rule = \"trimmed\" }", "the rule \"trimmed\" is not for", "trimmed"),
        ("n = { from = \"n\", rule = \"json\" }", "the rule \"json\" is not for", "json"),
        ("id = { from = \"id\", tolerance = \"1\" }", "a key cannot have a tolerance", "1"),
        (
            "n = { from = \"n\", rule = \"precision(1)\", tolerance = \"1\" }",
            "a tolerance and the rule \"precision(1)\" exclude each other",
            "1",
        ),
        ("n = { from = \"n\", tolerance = 0.5 }", "must be a string, not a number", "0.5"),
        ("s = { from = \"s\", rule = \"trim\" }", "unknown rule \"trim\"", "trim"),
    ] {
        let spec = mapped(&pair, columns);
        let outcome = pair.program().args(&["check", spec.to_str().unwrap()]).run();
        let stderr = &outcome.exits(2).stderr;
        assert!(stderr.contains(message) && stderr.contains("hint:"), "{stderr}");
        let mut lines = stderr.lines().skip_while(|line| !line.contains(columns));
        let (line, carets) = (lines.next().unwrap(), lines.next().unwrap());
        let at = carets.find('^').unwrap();
        assert!(line[at..].trim_start_matches('"').starts_with(place), "{stderr}");
    }
}
