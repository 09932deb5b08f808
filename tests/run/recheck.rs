//! Rechecks of an earlier run's findings: what has healed, what still differs, what is refused.

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::report::diverged;
use crate::support::{MAPPING, Outcome, Pair, Program, refused};

/// A call over the ledger beside the spec.
fn call(pair: &Pair, verb: &str, flags: &[&str]) -> Program {
    let program = pair.program().without("PGRECONCILE_LEDGER").args(&[verb, "spec.toml"]);
    let common = ["--settle", "0s", "--format", "jsonl", "--progress", "never"];
    program.args(&common).args(flags)
}

fn run(pair: &Pair, verb: &str, flags: &[&str]) -> Outcome {
    call(pair, verb, flags).run()
}

fn counts(outcome: &Outcome, names: &[&str]) -> Vec<u64> {
    let mapping = outcome.balances().mapping();
    names.iter().map(|name| mapping[name].as_u64().unwrap()).collect()
}

#[test]
fn healed_rows_are_counted_and_differing_ones_reported() {
    let pair = diverged();
    pair.spec(MAPPING);
    let first = run(&pair, "compare", &[]);
    assert_eq!(first.exits(1).findings().len(), 3);
    let again = run(&pair, "recheck", &[]);
    assert_eq!(again.exits(1).findings(), first.findings());
    assert!(again.records("finding").iter().all(|finding| finding["runs"] == 2));
    // One row is corrected. Another one, which is not to be rechecked, becomes different.
    pair.sql(Side::Target, "insert into t values (4, 'v4', 4); update t set v = 'y' where id = 1");
    for flags in [&[][..], &["--strategy", "stream"]] {
        let first_id = first.records("run")[0]["run"].as_str().unwrap().to_owned();
        let flags = [flags, &["--run", &first_id]].concat();
        let again = run(&pair, "recheck", &flags);
        assert_eq!(
            again.exits(1).findings(),
            [
                "t mismatch {\"id\":\"2\"} v: null | \"v2\" n: \"-2.00\" | \"2.00\"",
                "t only_in_target {\"id\":\"5\"}"
            ]
        );
        assert_eq!(counts(&again, &["healed", "mismatch", "only_in_target"]), [1, 1, 1]);
        let mapping = again.mapping();
        assert!(mapping["complete"] == true && mapping["empty"] == false, "{mapping}");
        assert!(mapping["coverage"].as_f64().unwrap() < 1.0, "{mapping}");
    }
    pair.sql(
        Side::Target,
        "delete from t where id = 5; update t set v = null, n = -2 where id = 2",
    );
    let healed = run(&pair, "recheck", &[]);
    assert_eq!(healed.exits(0).records("summary")[0]["verdict"], "clean");
    assert_eq!(counts(&healed, &["healed"]), [2]);
    // Then there is nothing left to recheck.
    let nothing = run(&pair, "recheck", &[]);
    assert_eq!(nothing.exits(0).records("mapping").len(), 0);
    assert_eq!(run(&pair, "compare", &[]).exits(1).findings().len(), 1);
    let history =
        pair.program().without("PGRECONCILE_LEDGER").args(&["history", "spec.toml"]).run();
    assert_eq!(history.exits(0).stdout.matches("(again)").count(), 5, "{}", history.stdout);
}

#[test]
fn findings_may_come_from_a_report_and_need_no_ledger() {
    let pair = diverged();
    pair.spec(MAPPING);
    run(&pair, "compare", &["--report", "f.jsonl", "--ledger", "off"]).exits(1);
    pair.sql(Side::Target, "insert into t values (4, 'v4', 4)");
    let again = run(&pair, "recheck", &["--from", "f.jsonl", "--ledger", "off"]);
    assert_eq!(again.exits(1).findings().len(), 2);
    // The other formats and report files are those of compare.
    let program = pair.program().args(&["recheck", "spec.toml", "--settle", "0s"]);
    let people = program.args(&["--from", "f.jsonl", "--report", "r.csv"]).run();
    assert!(people.exits(1).stdout.contains("test: diverged"), "{}", people.stdout);
    let csv = std::fs::read_to_string(pair.scratch.path().join("r.csv")).unwrap();
    assert_eq!(csv.lines().count(), 4, "{csv}");
}

#[test]
fn ranges_duplicates_and_null_keys_are_rechecked() {
    let tables = "create table t (id int); ";
    let rows = "insert into t select generate_series(1, 30000)";
    let odd = "insert into t values (-5), (-5), (null), (12000), (40000)";
    let pair = Pair::new(&format!("{tables}{rows}"), &format!("{tables}{odd}"));
    pair.spec(&MAPPING.replace("]]\n", "]]\nkey = [\"id\"]\n"));
    for flags in [&["--chunk-rows", "3000"][..], &["--strategy", "stream"]] {
        let first = run(&pair, "compare", flags);
        assert_eq!(first.exits(1).findings().len(), 5, "{:?}", first.findings());
        let again = run(&pair, "recheck", flags);
        assert_eq!(again.exits(1).findings(), first.findings());
        counts(&again, &[]);
    }
    // The backfill arrives, except for a few rows; the duplicate and the NULL are corrected.
    let come = "insert into t select n from generate_series(1, 30000) n where n <> 12000 and n <> 77;
        delete from t where id is null; delete from t where ctid = (select min(ctid) from t where id = -5)";
    pair.sql(Side::Target, come);
    let again = run(&pair, "recheck", &[]);
    assert_eq!(
        again.exits(1).findings(),
        [
            "t only_in_source {\"id\":\"77\"}",
            "t only_in_target {\"id\":\"-5\"}",
            "t only_in_target {\"id\":\"40000\"}"
        ]
    );
    counts(&again, &[]);
}

#[test]
fn keys_of_any_type_are_read_back_from_their_texts() {
    let source = "create type mood as enum ('sad', 'so ''so'); create table t (
        a char(5), b timestamptz, c mood, d bytea, e numeric, f text collate \"C\", g \"char\", h bool,
        v int, primary key (a, b, c, d, e, f, g, h));";
    let target = "create type feeling as enum ('so ''so', 'sad'); create table t (
        a varchar, b timestamptz, c feeling, d bytea, e numeric(20, 5), f varchar(40) collate \"C\",
        g \"char\", h bool, v int, primary key (a, b, c, d, e, f, g, h));";
    let row = |a: &str, v: u32| {
        format!(
            "insert into t values ('{a}', '2026-03-01 02:30:00.123456+05', 'so ''so', '\\x00ff', 1.50, \
             'say \"ä\", {{x}}\\', 'x', true, {v});"
        )
    };
    let pair = Pair::new(
        &format!("{source}{}{}", row("ab", 1), row("one", 1)),
        &format!("{target}{}{}", row("ab", 2), row("two", 1)),
    );
    pair.spec(MAPPING);
    let first = run(&pair, "compare", &[]);
    assert_eq!(first.exits(1).findings().len(), 3, "{:?}", first.findings());
    for flags in [&[][..], &["--strategy", "stream"]] {
        let again = run(&pair, "recheck", flags);
        assert_eq!(again.exits(1).findings(), first.findings());
        assert_eq!(counts(&again, &["mismatch", "only_in_source", "only_in_target"]), [1, 1, 1]);
    }
}

#[test]
fn groups_and_accept_rules_hold_as_in_a_comparison() {
    let table = "create table t (id int primary key, g int, v int); insert into t select n, n % 2, n \
                 from generate_series(1, 6) n;";
    let pair = Pair::new(table, table);
    pair.sql(Side::Target, "update t set v = 0 where id in (1, 2, 4)");
    let accept =
        "[[mapping.accept]]\nwhere = \"source.id = 2\"\nreason = \"old\"\nuntil = \"2999-01-01\"\n";
    pair.spec(&MAPPING.replace("]]\n", "]]\ngroup_by = \"g\"\n"));
    let spec = pair.scratch.path().join("spec.toml");
    let text = std::fs::read_to_string(&spec).unwrap() + accept;
    std::fs::write(&spec, text).unwrap();
    let first = run(&pair, "compare", &[]);
    assert_eq!(first.exits(1).findings().len(), 3);
    pair.sql(Side::Target, "update t set v = 4 where id = 4");
    let again = run(&pair, "recheck", &[]);
    assert_eq!(counts(&again, &["healed", "accepted", "mismatch"]), [1, 1, 1]);
    assert_eq!(
        again.exits(1).groups(),
        ["t \"0\" clean 2|2 matched=1 healed=1 accepted=1", "t \"1\" diverged 1|1 mismatch=1"]
    );
}

#[test]
fn what_is_not_this_specs_or_not_whole_is_refused() {
    let pair = diverged();
    let rest = format!("[params]\nlow = {{ type = \"int\", default = 0 }}\n{MAPPING}");
    pair.spec(&(rest.clone() + "where = \"id > :low\"\n"));
    let told = |flags: &[&str]| {
        let told = refused(&run(&pair, "recheck", flags));
        assert!(told.len() == 1 && !told[0].hint.is_empty(), "{told:#?}");
        told[0].headline.clone()
    };
    assert!(told(&[]).contains("there is no such finished run"));
    run(&pair, "compare", &["--report", "f.jsonl"]).exits(1);
    assert!(told(&["--ledger", "off"]).contains("without a ledger"));
    assert!(told(&["--param", "low=1"]).contains("had other parameters"));
    assert!(told(&["--param", "low=1", "--from", "f.jsonl"]).contains("had other parameters"));
    assert!(told(&["--run", "01J"]).contains("there is no such finished run: 01J"));
    assert!(told(&["--run", "01J", "--from", "f.jsonl"]).contains("exclude each other"));
    assert!(told(&["--sample", "1%"]).contains("--sample has no meaning here"));
    assert!(told(&["spec.toml"]).contains("one spec file"));
    assert!(told(&["--from", "no.jsonl"]).contains("No such file"));
    let text = std::fs::read_to_string(pair.scratch.path().join("f.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (name, text, why) in [
        ("cut.jsonl", lines[..lines.len() - 1].join("\n"), "cut off"),
        ("half.jsonl", text[..text.len() - 20].to_owned(), "no record of a run"),
        ("other.jsonl", text.replace("\"spec\":\"test\"", "\"spec\":\"rest\""), "no run of spec"),
        ("empty.jsonl", String::new(), "no run of spec"),
        ("key.jsonl", text.replace("\"key\":{\"id\"", "\"key\":{\"no\""), "name another key"),
        ("what.jsonl", format!("{{}}\n{text}"), "line 1 is no record"),
    ] {
        pair.scratch.file(name, &text);
        assert!(told(&["--from", name]).contains(why), "{name}");
    }
    let redacted = format!("{rest}[mapping.columns]\nid = {{ from = \"id\", redact = true }}\n");
    pair.spec(&redacted);
    run(&pair, "compare", &[]).exits(1);
    assert!(told(&[]).contains("is redacted"));
}

#[test]
fn a_great_many_rows_are_rechecked() {
    let table = "create table t (id int primary key, v int); insert into t select n, n from generate_series(1, 40000) n;";
    let pair = Pair::new(table, table);
    pair.sql(Side::Target, "update t set v = -v where id % 2 = 0");
    pair.spec(MAPPING);
    let first = run(&pair, "compare", &[]);
    assert_eq!(first.exits(1).records("finding").len(), 20_000);
    pair.sql(Side::Target, "update t set v = id where id <= 20000");
    let again = run(&pair, "recheck", &[]);
    assert_eq!(counts(&again, &["healed", "mismatch"]), [10_000, 10_000]);
    let known = |finding: &Value| finding["runs"] == 2;
    assert!(again.records("finding").iter().all(known));
}
