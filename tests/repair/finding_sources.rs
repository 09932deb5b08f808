//! The sources of a repair's findings: a run of the ledger or a file, and which of them are
//! refused.

use pgreconcile::schema::Side;

use crate::support::round_trip::{RoundTrip, same};
use crate::support::{Outcome, Program};

const TABLE: &str = "create table t (id int primary key, name text);";

fn round(mapping: &str) -> RoundTrip {
    let source = format!("{TABLE} insert into t values (1,'a'),(2,'b'),(3,'c');");
    let target = format!("{TABLE} insert into t values (1,'x'),(2,'y');");
    RoundTrip::new(&source, &target, mapping)
}

/// A call of the program with the ledger beside the spec.
fn remembering(round: &RoundTrip) -> Program {
    round.program().without("PGRECONCILE_LEDGER")
}

fn compare(round: &RoundTrip, flags: &[&str]) -> Outcome {
    let common = ["compare", "spec.toml", "--settle", "0s", "--format", "jsonl"];
    remembering(round).args(&common).args(flags).run()
}

fn id(outcome: &Outcome) -> String {
    outcome.records("run")[0]["run"].as_str().unwrap().to_owned()
}

fn repair(round: &RoundTrip, out: &str, flags: &[&str]) -> Outcome {
    let common = ["repair", "spec.toml", "--authority", "source", "--out", out];
    remembering(round).args(&common).args(flags).run()
}

#[test]
fn the_newest_finished_run_is_repaired_unless_another_is_named() {
    let round = round(&same("public.t"));
    let none = repair(&round, "none", &[]);
    assert!(none.exits(2).stderr.contains("it holds no run"), "{}", none.stderr);
    let first = id(compare(&round, &[]).exits(1));
    round.pair.sql(Side::Target, "update t set name = 'b' where id = 2");
    let second = id(compare(&round, &[]).exits(1));
    let _ = repair(&round, "new", &[]).exits(0);
    let told = repair(&round, "old", &["--run", &first]);
    assert!(told.exits(0).stdout.contains("already agree: 1 row\n"), "{}", told.stdout);
    let made_of = |folder: &str| {
        let text = std::fs::read_to_string(round.path(folder).join("manifest.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["run"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!([made_of("new"), made_of("old")], [second, first]);
    for script in round.scripts("old", ".sql") {
        let text = std::fs::read_to_string(script).unwrap();
        assert!(text.contains(&format!("-- made of    run {}", made_of("old"))), "{text}");
    }
    let _ = round.apply("new", &["--execute"]).exits(0);
    let _ = compare(&round, &[]).exits(0);
}

#[test]
fn a_ledger_without_values_serves_as_well() {
    let redacted =
        format!("{}columns.name = {{ from = 'name', redact = true }}\n", same("public.t"));
    for (mapping, flags) in [(same("public.t"), &["--keys-only"][..]), (redacted, &[])] {
        let round = round(&mapping);
        let _ = compare(&round, flags).exits(1);
        let _ = repair(&round, "r", &[]).exits(0);
        let _ = round.apply("r", &["--execute"]).exits(0);
        let _ = compare(&round, flags).exits(0);
    }
}

/// A repair would be made of findings that belong to other rows.
#[test]
fn findings_of_other_parameters_or_specs_are_refused() {
    let mapping =
        same("public.t").replace("'public.t'\n", "'public.t'\ntarget.where = 'id < :n'\n");
    let mapping = mapping.replacen("target.where = 'id < :n'\n", "source.where = 'id < :n'\n", 1);
    let round = round(&format!("[params]\nn = {{ type = 'int4' }}\n{mapping}"));
    let first = id(compare(&round, &["--param", "n=9"]).exits(1));
    let refused = |flags: &[&str], why: &str| {
        let outcome = repair(&round, "r", flags);
        assert!(outcome.exits(2).stderr.contains(why), "{}", outcome.stderr);
        assert!(!round.path("r").exists());
    };
    refused(&["--param", "n=8"], "that run had other parameters");
    refused(&["--param", "n=9", "--run", "nobody"], "there is no such finished run");
    refused(&["--param", "n=9", "--ledger", "off"], "without a ledger");
    refused(&["--param", "n=9", "--run", &first, "--from", "f.jsonl"], "exclude each other");
    let spec = std::fs::read_to_string(&round.spec).unwrap();
    std::fs::write(&round.spec, format!("{spec}# changed\n")).unwrap();
    refused(&["--param", "n=9"], "the spec was changed since that run");
    std::fs::write(&round.spec, &spec).unwrap();
    let _ = repair(&round, "r", &["--param", "n=9"]).exits(0);
}

/// Findings of an incomplete run would be lost: each one is valid, and every head lists what the
/// run did not compare.
#[test]
fn a_run_of_a_part_only_is_named_so_in_the_head() {
    let round = round(&same("public.t"));
    let _ = compare(&round, &["--max-findings", "1"]).exits(3);
    let told = repair(&round, "r", &[]);
    assert!(told.exits(0).stderr.contains("mapping \"t\": it is not complete"), "{}", told.stderr);
    let manifest = std::fs::read_to_string(round.path("r/manifest.json")).unwrap();
    assert!(manifest.contains("\"unseen\": [\n    {\n      \"mapping\": \"t\""), "{manifest}");
    for end in [".sql", ".undo.sql"] {
        let script = round.scripts("r", end).remove(0);
        let text = std::fs::read_to_string(script).unwrap();
        assert!(text.contains("-- not whole  it is not complete: "), "{text}");
    }
}

#[test]
fn a_run_that_was_killed_is_no_finished_run() {
    let round = round(&same("public.t"));
    let first = id(compare(&round, &[]).exits(1));
    round.pair.sql(Side::Target, "update t set name = 'b' where id = 2");
    // It waits to check whether the differences persist, and is killed then.
    let common = ["compare", "spec.toml", "--settle", "100s", "--progress", "never", "-vv"];
    let mut running = remembering(&round).args(&common).start();
    running.await_line("chunk finished");
    running.signal("KILL");
    let _ = running.finish();
    let told = repair(&round, "r", &[]);
    assert!(told.exits(0).stdout.contains("already agree: 1 row\n"), "{}", told.stdout);
    let manifest = std::fs::read_to_string(round.path("r/manifest.json")).unwrap();
    assert!(manifest.contains(&first), "{manifest}");
}

/// A repair would execute foreign SQL: a report is a file that any user may have written, and the
/// head of a script is SQL.
#[test]
fn the_id_of_a_run_does_no_harm() {
    let round = round(&same("public.t"));
    round.pair.sql(Side::Target, "create table victim (id int)");
    let _ = round.compare().exits(1);
    let file = round.path("findings.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let id = text.split("\"run\":\"").nth(1).unwrap().split('"').next().unwrap();
    for harm in
        ["\\ndrop table victim; --", "\\n\\\\! touch /tmp/pgreconcile-was-here", "\\u2028$pgr$"]
    {
        std::fs::write(&file, text.replace(id, harm)).unwrap();
        let _ = round.repair("r", &[]).exits(0);
        round.run_all("r", ".sql");
        round.run_all("r", ".undo.sql");
        let _ = round.apply("r", &[]).exits(0);
        std::fs::remove_dir_all(round.path("r")).unwrap();
    }
    assert_eq!(round.pair.sql(Side::Target, "select count(*) from victim"), "0");
    assert!(!std::path::Path::new("/tmp/pgreconcile-was-here").exists());
}
