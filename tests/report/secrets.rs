//! What no output may contain: passwords anywhere, row values on stderr, and values that a reader
//! of the output would execute.

use std::os::unix::fs::PermissionsExt;

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::report::{compare, json, read};
use crate::support::{
    CANARY, HEAD, MAPPING, Outcome, Pair, Program, Scratch, guarded, harmless, refused,
};

/// Every call that could show a connection string, with each way to pass it.
const CALLS: [&[&str]; 9] = [
    &["check", "-vv"],
    &["plan", "-vv"],
    &["plan", "--format", "json", "--color", "always"],
    &["compare", "-vv", "--settle", "0s"],
    &["compare", "-vv", "--settle", "0s", "--log-format", "json", "--format", "json"],
    &[
        "compare",
        "--settle",
        "0s",
        "--format",
        "jsonl",
        "--progress",
        "always",
        "--report",
        "r.json",
    ],
    &["compare", "--settle", "0s", "--format", "csv", "--report", "r.csv", "--report", "r.jsonl"],
    &["compare", "--mapping", "no"],
    &["compare", "--jobs", "0"],
];

/// Returns everything that a call has printed and written.
fn everything(outcome: &Outcome, scratch: &Scratch) -> String {
    let mut all = format!("{}{}", outcome.stdout, outcome.stderr);
    for name in ["r.json", "r.csv", "r.jsonl"] {
        all += &std::fs::read_to_string(scratch.path().join(name)).unwrap_or_default();
    }
    all
}

fn silent(all: &str, context: &str) {
    for part in ["CANARY", "hunter2"] {
        assert!(!all.contains(part), "{context}\n{all}");
    }
}

/// A password would end up in a log or a report.
#[test]
fn no_output_contains_a_valid_password() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let (socket, port) = (guarded.cluster.socket().display().to_string(), guarded.cluster.port);
    let file = scratch.file("pgpass", &format!("*:*:*:canary:{CANARY}\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    let folder = socket.replace('/', "%2F");
    let pairs = format!("host={socket} port={port} dbname=app user=canary");
    let url = format!("postgresql://canary:{CANARY}@{folder}:{port}/app");
    let plain = format!("{HEAD}{MAPPING}");
    let literal = |text: &str| plain.replace("${SOURCE_URL}", text).replace("${TARGET_URL}", text);
    for (spec, source, variables) in [
        (plain.clone(), url.clone(), ("", "")),
        (plain.clone(), url.replace('-', "%2D").replace("unter", "%75nter"), ("", "")),
        (plain.clone(), format!("{pairs} password='{CANARY}'"), ("", "")),
        (plain.clone(), pairs.clone(), ("PGPASSWORD", CANARY)),
        (plain.clone(), pairs.clone(), ("PGPASSFILE", file)),
        (plain.replace("_URL}", "_URL:-none}"), format!("{pairs} passfile={file}"), ("", "")),
        (literal(&url), String::new(), ("", "")),
        (literal(&format!("{pairs} password={CANARY}")), String::new(), ("", "")),
        (literal(&format!("${{NONE:-{url}}}")), String::new(), ("", "")),
    ] {
        scratch.file("spec.toml", &spec);
        for call in CALLS {
            let program = Program::new().current_dir(scratch.path()).args(call).arg("spec.toml");
            let program = program.env("SOURCE_URL", &source).env("TARGET_URL", &source);
            let outcome = match variables {
                ("", _) => program.run(),
                (name, value) => program.env(name, value).run(),
            };
            let refused = call.contains(&"no") || call.contains(&"--jobs");
            outcome.exits(if refused { 2 } else { 0 });
            silent(&everything(&outcome, &scratch), &format!("{source} {call:?}"));
        }
    }
}

#[test]
fn a_password_that_stands_where_it_should_not_is_not_repeated() {
    let scratch = Scratch::new();
    let url = format!("postgres://u:{CANARY}@h/d");
    let plain = format!("{HEAD}{MAPPING}")
        .replace("{SOURCE_URL}", "{NONE:-x}")
        .replace("{TARGET_URL}", "{NONE:-x}");
    for (what, with) in [
        ("name = \"test\"", format!("name = \"{url}\"")),
        ("version = 1", format!("version = \"{url}\"")),
        ("${NONE:-x}", format!("${{{url}}}")),
        ("${NONE:-x}", format!("${{{url}")),
        ("url = \"${NONE:-x}\"", format!("url = \"{url}\" # {url}\nulr = \"{url}\"")),
        ("url = \"${NONE:-x}\"", format!("url = {url}")),
        ("url = \"${NONE:-x}\"", format!("url = \"{url}")),
        ("url = \"${NONE:-x}\"", format!("url = [\"{url}\"]")),
        ("url = \"${NONE:-x}\"", format!("\"{url}\" = 1")),
        ("url = \"${NONE:-x}\"", format!("url = \"{url}\"\nsearch_path = '{url}'")),
        ("\"public.t\"", format!("\"{url}\"")),
        ("table", format!("where = \"x = '{url}\"\ntable")),
        ("[[mapping]]", format!("[compare]\nstrategy = \"{url}\"\n[[mapping]]")),
        ("[[mapping]]", format!("[params]\nx = {{ type = \"{url}\" }}\n[[mapping]]")),
        ("[[mapping]]", format!("[params]\n\"{url}\" = 1\n[[mapping]]")),
    ] {
        assert!(plain.contains(what), "{what}");
        scratch.file("spec.toml", &plain.replacen(what, &with, 1));
        for flags in [&["--color", "never"][..], &["--color", "always"], &["--quiet"]] {
            let program = Program::new().current_dir(scratch.path()).args(&["check", "spec.toml"]);
            let outcome = program.args(flags).run();
            silent(&everything(outcome.exits(2), &scratch), &with);
        }
    }
    for arguments in [
        &["check", &url][..],
        &["compare", "spec.toml", "--ledger", &url],
        &["compare", "spec.toml", "--report", &url],
        &["compare", "spec.toml", "--format", &url],
        &["compare", "spec.toml", "--param", &url],
        &["compare", "spec.toml", "--mapping", "t", "--source", &url],
        &[&url],
    ] {
        let outcome = Program::new().current_dir(scratch.path()).args(arguments).run();
        silent(&everything(outcome.exits(2), &scratch), &format!("{arguments:?}"));
    }
    let outcome = Program::new().env("PGRECONCILE_LEDGER", &url).args(&["check", "x.toml"]).run();
    silent(&everything(outcome.exits(2), &scratch), "PGRECONCILE_LEDGER");
}

#[test]
fn no_value_of_a_row_stands_in_a_line_on_stderr() {
    let tables = "create table t (id text primary key, v text);
        create table d (k text, v text);";
    let pair = Pair::new(tables, tables);
    pair.sql(
        Side::Source,
        "insert into t select 'KEYVALUE' || n, 'ROWVALUE' || n from generate_series(1, 300) n;
         insert into d values ('KEYVALUE', 'ROWVALUE'), ('KEYVALUE', 'ROWVALUE'), (null, 'ROWVALUE')",
    );
    pair.sql(
        Side::Target,
        "insert into t select 'KEYVALUE' || n, 'ROWVALUE' || n from generate_series(2, 301) n;
         update t set v = 'ROWVALUE' where id like '%5'",
    );
    let d = MAPPING.replace("public.t", "public.d").replace("]]\n", "]]\nkey = [\"k\"]\n");
    let cast = "[mapping.columns]\nv = { sql = \"case id when 'KEYVALUE77' then v::int8::text else v end\" }\n";
    let spec = pair.spec(&format!("{MAPPING}{cast}{d}"));
    for flags in [&["-vv"][..], &["-vv", "--log-format", "json"], &["-vv", "--strategy", "stream"]]
    {
        let flags =
            [flags, &["--chunk-rows", "50", "--progress", "always", "--format", "json"]].concat();
        let outcome = compare(&pair, &spec).args(&flags).run();
        assert!(outcome.exits(3).stdout.contains("ROWVALUE"), "{}", outcome.stdout);
        assert!(outcome.stderr.contains("duplicate_key"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("VALUE"), "{}", outcome.stderr);
    }
}

/// Values that some program would interpret as more than text.
const HOSTILE: [&str; 42] = [
    "=1+1",
    "=cmd|'/c calc'!A0",
    "+1+1",
    "-1+1",
    "-5",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\u{b}=1+1",
    "\u{c}=1+1",
    "＝1+1",
    "＠SUM(A1)",
    "'=1+1",
    "\"=1+1\"",
    "a\",=1+1,\"",
    ",=1+1",
    ";=1+1",
    "\u{1b}[31mred",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{9b}2J",
    "\u{9d}0;title\u{9c}",
    "\u{8}\u{8}\u{7f}",
    "a\r\nerror: no",
    "a\nb\n\nc",
    "a\tb",
    "\u{202e}txt.exe",
    "\u{2066}a\u{2069}",
    "\u{200e}\u{200f}\u{61c}",
    "\u{2028}a\u{2029}",
    "\u{85}a",
    "\"><img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "' or ''='",
    "\\",
    "\\u0000\\x00\\0",
    "a|b|`c`*d*",
    "${HOME} $(id) `id` %s %n {}",
    "e\u{301}\u{10ffff}\u{feff}\u{1}",
    "NULL",
    "",
];

/// Returns the same values, and one that is very long.
fn hostile() -> Vec<String> {
    let mut values: Vec<String> = HOSTILE.iter().map(|value| (*value).to_owned()).collect();
    values.push("=long\u{1b}".repeat(10_000));
    values
}

fn inserts() -> String {
    let literal = |value: &str| value.replace('\'', "''");
    let rows = hostile();
    let rows = rows.iter().enumerate().map(|(id, value)| {
        let value = literal(value);
        format!("insert into t values ({id}, '{value}'); insert into k values (left('{value}', 200), {id});")
    });
    rows.collect()
}

/// Creates a pair whose source has every hostile value, as a value and as a key.
fn hostile_rows() -> Pair {
    let tables = "create table t (id int primary key, v text);
        create table k (k text collate \"C\" primary key, id int);";
    let pair = Pair::new(tables, tables);
    pair.sql(Side::Source, &inserts());
    let ids = format!("insert into t select n, 'x' from generate_series(0, {}) n", HOSTILE.len());
    pair.sql(Side::Target, &ids);
    pair.spec(&format!(
        "[params]\nlow = {{ type = \"int\", default = 0 }}\n{}{}",
        MAPPING.replace(".t\"\n", ".t\"\nwhere = \"id >= :low\"\n"),
        MAPPING.replace(".t\"\n", ".k\"\nwhere = \"id >= :low\"\n"),
    ));
    pair
}

/// Returns the key as the table `k` holds it.
fn key_of(value: &str) -> String {
    value.chars().take(200).collect()
}

/// A value could break the format, or run as a formula in a spreadsheet.
#[test]
fn json_and_csv_keep_hostile_values_exact_and_inert() {
    let pair = hostile_rows();
    let spec = pair.scratch.path().join("spec.toml");
    let reports = ["--report", "r.json", "--report", "r.csv"];
    let outcome = compare(&pair, &spec).args(&["--format", "jsonl"]).args(&reports).run();
    outcome.exits(1).balances();
    let document = read(&pair, "r.json");
    // No line of JSON could drive a terminal that shows it.
    harmless(&document);
    harmless(&outcome.stdout);
    let document = json(&document);
    assert_eq!(document["findings"].as_array().unwrap(), &outcome.records("finding"));
    let of = |mapping: &str, part: fn(&Value) -> &Value| {
        let findings = outcome.records("finding");
        let findings = findings.iter().filter(|finding| finding["mapping"] == mapping);
        findings.map(|finding| part(finding).as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let sorted = |mut values: Vec<String>| {
        values.sort();
        values
    };
    let values = sorted(hostile());
    let keys = sorted(hostile().iter().map(|value| key_of(value)).collect());
    assert_eq!(sorted(of("t", |finding| &finding["columns"]["v"]["source"])), values);
    assert_eq!(sorted(of("k", |finding| &finding["key"]["k"])), keys);

    let mut reader = csv::Reader::from_path(pair.scratch.path().join("r.csv")).unwrap();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    for cell in records.iter().flatten() {
        let number =
            !cell.is_empty() && cell.trim_start_matches('-').chars().all(|c| c.is_ascii_digit());
        let runs = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
        let inert = !cell.starts_with(runs) && !cell.starts_with(char::is_control);
        assert!(number || inert, "{cell:?}");
    }
    let (of_values, of_keys): (Vec<_>, Vec<_>) = records.iter().partition(|cells| &cells[0] == "t");
    assert_eq!(of_values.len(), values.len());
    for cells in of_values {
        let id: usize = json(&cells[3])["id"].as_str().unwrap().parse().unwrap();
        let value = &hostile()[id];
        assert!(&cells[6] == value || cells[6] == format!("'{value}"), "{:?}", &cells[6]);
    }
    let key = |cells: &&csv::StringRecord| json(&cells[3])["k"].as_str().unwrap().to_owned();
    assert_eq!(sorted(of_keys.iter().map(key).collect()), keys);
}

/// A value could forge lines of a report or send control sequences to the terminal.
#[test]
fn hostile_values_do_nothing_on_the_terminal() {
    let pair = hostile_rows();
    let spec = pair.scratch.path().join("spec.toml");
    let mut shown = 0;
    for low in (0..hostile().len()).step_by(10) {
        let param = format!("low={low}");
        let outcome = compare(&pair, &spec).args(&["--param", &param, "-vv"]).run();
        harmless(&outcome.exits(1).stdout);
        harmless(&outcome.stderr);
        let count = (hostile().len() - low).min(10);
        for kind in ["  mismatch        id=", "  only in source  k="] {
            let lines = outcome.stdout.lines().filter(|line| line.starts_with(kind));
            assert_eq!(lines.count(), count, "{kind}\n{}", outcome.stdout);
        }
        let table = outcome.stdout.lines().position(|line| line.starts_with("mapping")).unwrap();
        let findings = outcome.stdout.lines().take(table);
        let others = findings.filter(|line| !line.is_empty() && !line.starts_with("  "));
        assert_eq!(others.count(), 2, "{}", outcome.stdout);
        shown += count;
    }
    assert!(shown >= hostile().len());
}

#[test]
fn hostile_names_are_as_inert_as_values() {
    let tables = "create schema \"s\u{1b}[31m\"; create table \"s\u{1b}[31m\".\"=t\u{202e}\"
        (id int primary key, \"=1+1\u{1b}]8;;x\u{7}\" text, \"@b\nerror: c\" text)";
    let pair = Pair::new(tables, tables);
    pair.sql(Side::Source, "insert into \"s\u{1b}[31m\".\"=t\u{202e}\" values (1, 'a', 'b')");
    pair.sql(Side::Target, "insert into \"s\u{1b}[31m\".\"=t\u{202e}\" values (1, 'b', 'c')");
    let spec = pair.spec(&MAPPING.replace("public.t", "\\\"s\\u001b[31m\\\".\\\"=t\\u202e\\\""));
    let outcome = compare(&pair, &spec).args(&["-vv", "--report", "r.csv"]).run();
    harmless(&outcome.exits(1).stdout);
    harmless(&outcome.stderr);
    assert!(!outcome.stdout.contains("\nerror: "), "{}", outcome.stdout);
    let csv = read(&pair, "r.csv");
    for name in ["'=t\u{202e},", "'=1+1\u{1b}]8;;x\u{7},", "\"'@b\nerror: c\","] {
        assert!(csv.contains(name), "{name:?}: {csv:?}");
    }
    let spec = spec.to_str().unwrap();
    let plan = pair.program().args(&["plan", spec]).run();
    harmless(&plan.exits(0).stdout);
    let check = pair.program().args(&["check", spec]).run();
    harmless(&check.exits(0).stderr);
    // The same holds for a server's message about them.
    let text =
        std::fs::read_to_string(spec).unwrap() + "where = \"\\\"no\\u001b[31m\\u202e\\\" > 1\"\n";
    let wrong = pair.scratch.file("wrong.toml", &text);
    let told = refused(&compare(&pair, &wrong).run());
    assert!(told[0].headline.contains("\\u{1b}[31m\\u{202e}"), "{told:#?}");
}
