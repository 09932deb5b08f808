//! The output of a run: records of every format exactly, report files, exit codes.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::report::{BOTH, compare, diverged, in_shell, json, names, read};
use crate::support::{HEAD, MAPPING, Pair, harmless, refused};

/// A field that is renamed, dropped or moved would break the programs that read the report.
#[test]
fn machine_formats_have_the_contracts_fields_in_order() {
    let pair = diverged();
    let spec = pair.spec(&format!("[params]\nlow = {{ type = \"int\" }}\n{BOTH}").replacen(
        "table = \"public.t\"\n",
        "table = \"public.t\"\nwhere = \"id > :low\"\n",
        1,
    ));
    let outcome = compare(&pair, &spec)
        .args(&["--param", "low=0", "--format", "jsonl", "--report", "a.json"])
        .args(&["--report", "a.jsonl", "--report", "a.csv"])
        .run();
    outcome.exits(1).balances();
    assert_eq!(read(&pair, "a.jsonl"), outcome.stdout);
    let lines: Vec<Value> = outcome.stdout.lines().map(json).collect();
    let books = "read matched mismatch only unsettled accepted duplicate null_key undecided";
    for line in &lines {
        let seen = "columns first_seen last_seen runs";
        let of_finding = "type version mapping kind disposition";
        let expected = match (line["type"].as_str().unwrap(), &line["kind"]) {
            ("run", _) => {
                assert_eq!(names(&line["clocks"]), "source target");
                "type version run spec spec_hash scope params started_at clocks tool".to_owned()
            }
            ("finding", kind) if kind == "null_key" => format!("{of_finding} side rows {seen}"),
            ("finding", kind) if kind == "duplicate_key" => {
                format!("{of_finding} side rows key {seen}")
            }
            ("finding", _) => format!("{of_finding} key {seen}"),
            ("mapping", _) => {
                assert_eq!(names(&line["rows"]), "source target");
                assert_eq!(names(&line["books"]), "source target");
                assert_eq!(names(&line["books"]["source"]), books);
                "type version mapping strategy rows healed accepted only_in_source only_in_target mismatch \
                 unsettled coverage complete truncated empty reason elapsed_ms books"
                    .to_owned()
            }
            ("summary", _) => {
                assert_eq!(names(&line["clocks"]), "source target");
                "type version verdict complete exit_code elapsed_ms ended_at clocks \
                 longest_transaction_ms"
                    .to_owned()
            }
            (other, _) => panic!("{other}: {line}"),
        };
        // `hints` is there if findings have something in common; `paced` is there if the server was
        // busy.
        let fields = names(line).replace(" paced", "");
        assert_eq!(fields.trim_end_matches(" hints"), expected);
        assert_eq!(line["version"], 1, "{line}");
    }
    let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!((types[0], *types.last().unwrap()), ("run", "summary"), "{types:?}");
    assert_eq!(lines[0]["params"], json("{\"low\":\"0\"}"));
    assert_eq!(lines[0]["spec"], "test");
    assert!(lines[0]["started_at"].as_str().unwrap().ends_with('Z'), "{}", lines[0]);
    let summary = lines.last().unwrap();
    assert_eq!((&summary["verdict"], &summary["exit_code"]), (&"diverged".into(), &1.into()));
    assert_eq!(
        outcome.findings(),
        [
            "d duplicate_key target {\"k\":\"1\"} 2",
            "d null_key target 1",
            "t mismatch {\"id\":\"2\"} v: null | \"v2\" n: \"-2.00\" | \"2.00\"",
            "t only_in_source {\"id\":\"4\"}",
            "t only_in_target {\"id\":\"5\"}",
        ]
    );

    // The document holds the same records.
    let document = json(&read(&pair, "a.json"));
    assert_eq!(names(&document), "run mappings findings undecided summary");
    assert_eq!(document["run"], lines[0]);
    assert_eq!(document["summary"], *summary);
    for (part, kind) in
        [("findings", "finding"), ("mappings", "mapping"), ("undecided", "undecided")]
    {
        assert_eq!(document[part].as_array().unwrap(), &outcome.records(kind), "{part}");
    }

    // The table does too, with a line per differing column.
    let csv = read(&pair, "a.csv");
    let mut rows = csv.lines();
    assert_eq!(
        rows.next(),
        Some("mapping,kind,disposition,key,group,column,source,target,first_seen,runs")
    );
    let mut rows: Vec<String> = rows
        .map(|row| {
            let cells: Vec<&str> = row.rsplitn(3, ',').collect();
            assert!(cells[1].ends_with('Z') && cells[0] == "1", "{row}");
            cells[2].to_owned()
        })
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            "d,duplicate_key,confirmed,\"{\"\"k\"\":\"\"1\"\"}\",,,,",
            "d,null_key,confirmed,{},,,,",
            "t,mismatch,confirmed,\"{\"\"id\"\":\"\"2\"\"}\",,n,-2.00,2.00",
            "t,mismatch,confirmed,\"{\"\"id\"\":\"\"2\"\"}\",,v,,v2",
            "t,only_in_source,confirmed,\"{\"\"id\"\":\"\"4\"\"}\",,,,",
            "t,only_in_target,confirmed,\"{\"\"id\"\":\"\"5\"\"}\",,,,",
        ]
    );
}

/// A difference in the first spec would be hidden by a clean last one.
#[test]
fn several_specs_report_in_turn_and_exit_with_the_worst_code() {
    let pair = diverged();
    std::fs::create_dir(pair.scratch.path().join("specs")).unwrap();
    let clean = MAPPING.replace("public.t\"\n", "public.t\"\nwhere = \"id = 1\"\n");
    pair.scratch.file("specs/1.toml", &(HEAD.replace("test", "one") + MAPPING));
    pair.scratch.file("specs/2.toml", &(HEAD.replace("test", "two") + &clean));
    let of = |specs: &[&str], format: &str| {
        let flags = ["--settle", "0s", "--format", format];
        pair.program().arg("compare").args(specs).args(&flags).run()
    };
    for specs in [&["specs"][..], &["specs/1.toml", "specs/2.toml"]] {
        let outcome = of(specs, "json");
        let runs = json(&outcome.exits(1).stdout);
        let told: Vec<(&Value, &Value)> = runs
            .as_array()
            .unwrap()
            .iter()
            .map(|run| (&run["run"]["spec"], &run["summary"]["exit_code"]))
            .collect();
        assert_eq!(told, [(&"one".into(), &1.into()), (&"two".into(), &0.into())]);
        let outcome = of(specs, "jsonl");
        let types: Vec<Value> =
            outcome.exits(1).stdout.lines().map(|line| json(line)["type"].clone()).collect();
        assert_eq!(
            types,
            [
                "run", "finding", "finding", "finding", "mapping", "summary", "run", "mapping",
                "summary"
            ]
        );
        let outcome = of(specs, "csv");
        assert_eq!(outcome.stdout.matches("mapping,kind,").count(), 1, "{}", outcome.stdout);
    }
    // A spec that cannot be planned prevents the run of the other.
    pair.scratch.file(
        "specs/3.toml",
        &(HEAD.replace("test", "three") + &MAPPING.replace("public.t", "public.no")),
    );
    assert_eq!(refused(&of(&["specs"], "jsonl")).len(), 2);
}

#[test]
fn the_exit_code_shows_the_result() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let clean = pair.scratch.file(
        "clean.toml",
        &format!("{HEAD}{MAPPING}").replace("public.t\"\n", "public.t\"\nwhere = \"id = 1\"\n"),
    );
    for (spec, flags, code, verdict) in [
        (&clean, &[][..], 0, "clean"),
        (&spec, &[], 1, "diverged"),
        (&spec, &["--max-findings", "1"], 3, "incomplete"),
        (&spec, &["--max-findings", "3"], 1, "diverged"),
    ] {
        let outcome = compare(&pair, spec).args(&["--format", "jsonl"]).args(flags).run();
        let summary = &outcome.exits(code).records("summary")[0];
        assert_eq!((&summary["verdict"], &summary["exit_code"]), (&verdict.into(), &code.into()));
        assert_eq!(outcome.mapping()["truncated"], code == 3);
        let outcome = compare(&pair, spec).args(flags).run();
        assert!(
            outcome.exits(code).stdout.contains(&format!("test: {verdict}, ")),
            "{}",
            outcome.stdout
        );
        assert!(outcome.stdout.contains(&format!("exit code {code}")), "{}", outcome.stdout);
    }
}

#[test]
fn an_interrupted_run_is_incomplete_and_its_report_is_whole() {
    let rows = "create table t (id int primary key); insert into t select generate_series(1, 3000)";
    let pair = Pair::new(rows, rows);
    let spec = pair.spec(&format!("{MAPPING}where = \"pg_sleep(0.001) is not null\"\n"));
    for signal in ["INT", "TERM", "HUP"] {
        let flags =
            ["--format", "jsonl", "--report", "r.json", "--chunk-rows", "10", "--jobs", "1", "-vv"];
        let mut running = compare(&pair, &spec).args(&flags).start();
        running.await_line("chunk=5 ");
        running.signal(signal);
        let outcome = running.finish();
        assert_eq!(outcome.exits(3).records("summary")[0]["verdict"], "incomplete");
        outcome.balances();
        let report = json(&read(&pair, "r.json"));
        assert_eq!(report["summary"]["exit_code"], 3);
        assert!(!report["undecided"].as_array().unwrap().is_empty(), "{report}");
        assert_eq!(names(&report["undecided"][0]), "type version mapping range reason");
    }
}

/// Other users could read row values, and a reader could get half a report.
#[test]
fn a_report_file_is_private_and_replaced_only_when_complete() {
    let pair = diverged();
    pair.spec(MAPPING);
    for name in ["r.json", "r.jsonl", "r.CSV"] {
        let old = pair.scratch.file(name, "old");
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o666)).unwrap();
        let script = format!(
            "umask 000; exec \"$BIN\" compare spec.toml --settle 0s --quiet --report {name}"
        );
        in_shell(&pair, &script).exits(1);
        let mode = std::fs::metadata(&old).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        assert_ne!(read(&pair, name), "old");
    }
    // An output file that is refused is refused before any row is read, and is left unchanged.
    let open = pair.scratch.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    pair.scratch.file("old.json", "old");
    for (report, why) in [
        ("r.html", ".html cannot be written in this version yet"),
        ("r.md", ".md cannot be written in this version yet"),
        ("r.prom", ".prom cannot be written in this version yet"),
        ("r.txt", "its extension names no format"),
        ("report", "its extension names no format"),
        ("no/r.json", "no: No such file or directory"),
        ("open/r.json", "folder open can be written by every user"),
        (".json", "its extension names no format"),
        ("open", "its extension names no format"),
        ("spec.toml/r.json", "Not a directory"),
    ] {
        let flags = ["--report", "old.json", "--report", report];
        let nowhere = [("SOURCE_URL", "host=/nowhere"), ("TARGET_URL", "host=/nowhere")];
        let program = pair.program().args(&["compare", "spec.toml"]).args(&flags);
        let told = refused(&program.run_with(&nowhere));
        assert!(told.len() == 1 && told[0].headline.contains(why), "{told:#?}");
        assert!(told[0].headline.contains(&format!("report {report}")) && !told[0].hint.is_empty());
    }
    let spec = pair.spec(&MAPPING.replace("public.t", "public.no"));
    compare(&pair, &spec).args(&["--report", "old.json"]).run().exits(2);
    assert_eq!(read(&pair, "old.json"), "old");
    let files = std::fs::read_dir(pair.scratch.path()).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["old.json", "open", "r.CSV", "r.json", "r.jsonl", "spec.toml"]);
}

/// Control characters would reach a terminal, or values in a pipe would be changed. `script` runs a
/// command on its own terminal and copies the output.
#[test]
fn csv_is_escaped_on_a_terminal_and_exact_in_a_pipe() {
    let table = "create table t (id int primary key, v text)";
    let pair = Pair::new(table, table);
    pair.sql(Side::Source, "insert into t values (1, e'a\\x1b[31m\\u009b2J\\nb')");
    pair.sql(Side::Target, "insert into t values (1, 'x')");
    let spec = pair.spec(MAPPING);
    let piped = compare(&pair, &spec).args(&["--format", "csv"]).run();
    assert!(piped.exits(1).stdout.contains("\"a\u{1b}[31m\u{9b}2J\nb\",x"), "{:?}", piped.stdout);
    let call = format!(
        "{} compare {} --settle 0s --format csv 2>/dev/null",
        env!("CARGO_BIN_EXE_pgreconcile"),
        spec.display()
    );
    let shown = Command::new("script")
        .args(["-qec", &call, "/dev/null"])
        .env("SOURCE_URL", pair.url(Side::Source))
        .env("TARGET_URL", pair.url(Side::Target))
        .env("PGRECONCILE_LEDGER", "off")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap().replace("\r\n", "\n");
    assert!(shown.contains("a\\u{1b}[31m\\u{9b}2J\\nb,x"), "{shown:?}");
    harmless(&shown);
}
