//! What the ledger stores from run to run, the lock of a spec, and deadlines.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::report::{compare, diverged, in_shell};
use crate::support::{HEAD, MAPPING, Outcome, Pair, Program, refused};

/// A call of `compare` with `settle = 0` and a ledger beside the spec.
fn comparing(pair: &Pair, spec: &Path, flags: &[&str]) -> Program {
    pair.comparing(spec, flags).without("PGRECONCILE_LEDGER")
}

/// The mapping with this condition on both sides.
fn within(condition: &str) -> String {
    MAPPING.replace("public.t\"\n", &format!("public.t\"\nwhere = \"{condition}\"\n"))
}

/// Returns each finding's key with its first run and the number of runs that found it, by key.
fn sights(outcome: &Outcome) -> Vec<(String, String, u64)> {
    let sight = |finding: &Value| {
        let key = finding["key"]["id"].as_str().unwrap().to_owned();
        let first_seen = finding["first_seen"].as_str().unwrap().to_owned();
        (key, first_seen, finding["runs"].as_u64().unwrap())
    };
    let mut sights: Vec<_> = outcome.records("finding").iter().map(sight).collect();
    sights.sort();
    sights
}

fn runs(outcome: &Outcome) -> Vec<(String, u64)> {
    sights(outcome).into_iter().map(|(key, _, runs)| (key, runs)).collect()
}

fn counted(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(key, runs)| ((*key).to_owned(), *runs)).collect()
}

#[test]
fn findings_show_when_and_in_how_many_runs_they_were_seen() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let first = comparing(&pair, &spec, &[]).run();
    assert_eq!(runs(first.exits(1)), counted(&[("2", 1), ("4", 1), ("5", 1)]));
    // One row is corrected, one gets other values, one is new.
    pair.sql(Side::Target, "insert into t values (4, 'v4', 4); update t set v = 'x' where id = 2");
    pair.sql(Side::Target, "update t set v = 'y' where id = 1");
    let second = comparing(&pair, &spec, &["--report", "two.csv"]).run();
    assert_eq!(runs(second.exits(1)), counted(&[("1", 1), ("2", 2), ("5", 2)]));
    let since = |outcome: &Outcome, key: &str| {
        sights(outcome).into_iter().find(|sight| sight.0 == key).unwrap().1
    };
    assert_eq!(since(&second, "2"), since(&first, "2"));
    assert!(since(&second, "1") > since(&first, "2"));
    // It differs again: it was found in two runs, first in the first.
    pair.sql(Side::Target, "delete from t where id = 4");
    let third = comparing(&pair, &spec, &["--strategy", "stream"]).run();
    assert_eq!(runs(third.exits(1)), counted(&[("1", 2), ("2", 3), ("4", 2), ("5", 3)]));
    for key in ["2", "4", "5"] {
        assert_eq!(since(&third, key), since(&first, key));
    }
    // Every output reports this.
    let csv = std::fs::read_to_string(pair.scratch.path().join("two.csv")).unwrap();
    assert!(csv.lines().any(|line| line.ends_with(&format!("{},2", since(&first, "5")))), "{csv}");
    // Without a ledger nothing is read and nothing is stored.
    let alone =
        compare(&pair, &spec).without("PGRECONCILE_LEDGER").args(&["--ledger", "off"]).run();
    assert!(alone.exits(1).stdout.contains("no ledger: not stored, not locked"));
    let fourth = comparing(&pair, &spec, &[]).run();
    assert_eq!(runs(&fourth), counted(&[("1", 3), ("2", 4), ("4", 3), ("5", 4)]));
}

/// Returns each finding's key with its change since it was last found.
fn recurrences(outcome: &Outcome) -> Vec<String> {
    let told = |finding: &Value| format!("{} {}", finding["key"]["id"], finding["recurrence"]);
    let mut told: Vec<String> = outcome.records("finding").iter().map(told).collect();
    told.sort();
    told
}

/// Lag would be mistaken for a difference: a difference that does not change is no lag, one that
/// comes and goes may be.
#[test]
fn findings_show_whether_they_stayed_or_came_back() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let run = |flags: &[&str]| comparing(&pair, &spec, flags).run();
    let first = run(&[]);
    assert_eq!(recurrences(&first), ["\"2\" null", "\"4\" null", "\"5\" null"]);
    assert!(!first.stdout.contains("recurrence"), "{}", first.stdout);
    pair.sql(Side::Target, "insert into t values (4, 'v4', 4); update t set v = 'x' where id = 2");
    // A partial run does not find it, which proves nothing; a complete run does.
    run(&["--mapping", "t"]).exits(1);
    assert_eq!(recurrences(&run(&[])), ["\"2\" \"same\"", "\"5\" \"same\""]);
    pair.sql(Side::Target, "delete from t where id = 4; update t set v = 'y' where id = 2");
    let flags = ["--format", "terminal", "--report", "all.jsonl"];
    let people = pair.program().without("PGRECONCILE_LEDGER").args(&["compare", "spec.toml"]);
    let people = people.args(&["--settle", "0s"]).args(&flags).run();
    for words in [
        "only in source  id=4 (in 2 runs, gone in between)\n",
        "mismatch        id=2 (in 4 runs, with other values)\n",
        "only in target  id=5 (the same in 4 runs)\n",
        "  1 finding had the same values in the run before: structural, not lag\n",
        "  1 finding came back after a run without: it comes and goes, as lag does\n",
    ] {
        assert!(people.exits(1).stdout.contains(words), "{words}\n{}", people.stdout);
    }
    let told = std::fs::read_to_string(pair.scratch.path().join("all.jsonl")).unwrap();
    let told = Outcome { code: 1, stdout: told, stderr: String::new() };
    let expected = ["\"2\" \"changed\"", "\"4\" \"returned\"", "\"5\" \"same\""];
    assert_eq!(recurrences(&told), expected);
    // The ledger reports it again.
    let again = telling(&pair, &["report", "spec.toml", "--format", "jsonl"]);
    assert_eq!(recurrences(again.exits(0)), expected);
}

#[test]
fn a_ledger_is_its_owners_alone() {
    let pair = diverged();
    pair.spec(MAPPING);
    let script = "umask 000; unset PGRECONCILE_LEDGER; exec \"$BIN\" compare spec.toml --settle 0s";
    in_shell(&pair, script).exits(1);
    let folder = pair.scratch.path().join(".pgreconcile");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["test.db", "test.db.lock"]);
    files.iter().for_each(|file| assert_eq!(mode(&folder.join(file)), 0o600));
}

#[test]
fn only_runs_of_the_same_scope_are_compared() {
    let pair = diverged();
    let rest = format!("[params]\nlow = {{ type = \"int\" }}\n{}", within("id > :low"));
    let spec = pair.spec(&rest);
    let run = |low: &str| comparing(&pair, &spec, &["--param", &format!("low={low}")]).run();
    assert_eq!(runs(&run("0")), counted(&[("2", 1), ("4", 1), ("5", 1)]));
    assert_eq!(runs(&run("1")), counted(&[("2", 1), ("4", 1), ("5", 1)]));
    assert_eq!(runs(&run("0")), counted(&[("2", 2), ("4", 2), ("5", 2)]));
    pair.spec(&(rest + "# another file\n"));
    assert_eq!(runs(&run("0")), counted(&[("2", 1), ("4", 1), ("5", 1)]));
}

#[test]
fn ranges_duplicates_and_null_keys_are_recognized_later() {
    let tables = "create table t (id int); ";
    let rows = "insert into t select generate_series(1, 11000)";
    let odd = "insert into t values (-1), (-1), (null)";
    let pair = Pair::new(&format!("{tables}{rows}"), &format!("{tables}{odd}"));
    let spec = pair.spec(&MAPPING.replace("]]\n", "]]\nkey = [\"id\"]\n"));
    for seen in 1..=2 {
        let outcome = comparing(&pair, &spec, &[]).run();
        let findings = outcome.exits(1).records("finding");
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings.iter().all(|finding| finding["runs"] == seen), "{findings:?}");
    }
}

#[test]
fn redacted_values_look_alike_in_all_runs_of_a_ledger() {
    let pair = diverged();
    let redacted = "[mapping.columns]\nv = { from = \"v\", redact = true }\n\
                    id = { from = \"id\", redact = true }\n";
    let spec = pair.spec(&format!("{MAPPING}{redacted}"));
    let once = comparing(&pair, &spec, &[]).run();
    let again = comparing(&pair, &spec, &[]).run();
    assert_eq!(once.exits(1).findings(), again.exits(1).findings());
    assert!(again.records("finding").iter().all(|finding| finding["runs"] == 2));
    let file = std::fs::read(pair.scratch.path().join(".pgreconcile/test.db")).unwrap();
    let holds = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!holds("v2") && !holds("\"-2\"") && holds("redacted:"));
}

/// A spec whose rows take a millisecond each.
fn slow(rows: u64) -> (Pair, std::path::PathBuf) {
    let table = format!(
        "create table t (id int primary key); insert into t select generate_series(1, {rows})"
    );
    let pair = Pair::new(&table, &table);
    let spec = pair.spec(&format!("{MAPPING}where = \"pg_sleep(0.001) is not null\"\n"));
    (pair, spec)
}

const SLOWLY: &[&str] = &["--chunk-rows", "100", "--jobs", "1", "-vv"];

#[test]
fn a_second_run_ends_at_once_and_a_dead_one_holds_no_lock() {
    let (pair, spec) = slow(20_000);
    let mut running = comparing(&pair, &spec, SLOWLY).start();
    running.await_line("chunk=2 ");
    let second = comparing(&pair, &spec, &[]).run();
    assert!(running.is_running(), "the second run waited for the first");
    assert_eq!(second.exits(4).stdout, "");
    for words in ["error: another run is under way: process ", "test.db.lock", "hint: "] {
        assert!(second.stderr.contains(words), "{}", second.stderr);
    }
    // If one of several specs fails, the others are run, and the worst exit code counts.
    let other = format!("{HEAD}{}", within("id = 1")).replace("\"test\"", "\"other\"");
    let other = pair.scratch.file("other.toml", &other);
    let both = comparing(&pair, &spec, &[other.to_str().unwrap()]).run();
    assert_eq!(both.exits(4).records("summary").len(), 1);
    // Without a ledger nothing is locked.
    pair.comparing(&other, &[]).run().exits(0);
    running.signal("KILL");
    let _ = running.finish();
    let next = comparing(&pair, &spec, &["--deadline", "2s"]).run();
    assert_eq!(next.exits(3).records("run").len(), 1, "{}", next.stderr);
}

#[test]
fn a_run_ends_by_its_deadline_and_reports_what_is_left() {
    let (pair, spec) = slow(30_000);
    for (flags, setting) in
        [(&["--deadline", "2s"][..], ""), (&[], "[compare]\ndeadline = \"2s\"\n")]
    {
        pair.spec(&format!("{setting}{MAPPING}where = \"pg_sleep(0.001) is not null\"\n"));
        let begun = Instant::now();
        let outcome = comparing(&pair, &spec, &[SLOWLY, flags].concat()).run();
        // Without a deadline it takes 30 s.
        assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
        let summary = &outcome.exits(3).balances().records("summary")[0];
        assert_eq!(summary["verdict"], "incomplete");
        let mapping = outcome.mapping();
        assert_eq!(
            (&mapping["complete"], &mapping["reason"]),
            (&false.into(), &"the deadline was reached".into())
        );
        let coverage = mapping["coverage"].as_f64().unwrap();
        assert!(coverage > 0.0 && coverage < 1.0, "{mapping}");
        let left = outcome.records("undecided");
        assert!(left.iter().any(|range| range["range"]["through"].is_null()), "{left:?}");
        assert!(outcome.stderr.contains("the deadline was reached"), "{}", outcome.stderr);
    }
    // A deadline that is not reached is not mentioned.
    let spec = pair.spec(&within("id < 10"));
    comparing(&pair, &spec, &["--deadline", "1h"]).run().exits(0);
}

#[test]
fn candidates_left_open_by_a_deadline_are_undecided() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let spec = spec.to_str().unwrap();
    let flags = ["--settle", "1m", "--deadline", "2s", "--format", "jsonl"];
    let outcome = pair.program().args(&["compare", spec]).args(&flags).run();
    outcome.exits(3).balances();
    let left = outcome.records("undecided");
    let said = "the deadline was reached with 3 differences seen and not settled";
    assert!(left.len() == 1 && left[0]["reason"] == said, "{left:?}");
}

/// A full disk or a damaged ledger would end the comparison itself.
#[test]
fn an_unusable_ledger_costs_one_warning_only() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let file = pair.scratch.path().join("l.db");
    let with = |ledger: &str| pair.comparing(&spec, &["--ledger", ledger]).run();
    let warned = |outcome: &Outcome, why: &str| {
        assert_eq!(outcome.exits(1).findings().len(), 3);
        assert_eq!(outcome.stderr.matches("warning: ").count(), 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "{why}: {}", outcome.stderr);
    };
    // Damaged from the start, and during the run.
    std::fs::write(&file, "this is no database, whatever its name says".repeat(100)).unwrap();
    warned(&with("l.db"), "it is damaged");
    assert!(std::fs::read(&file).unwrap().starts_with(b"this is no database"));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(with("l.db").exits(1).stderr, "");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&file, &bytes).unwrap();
    warned(&with("l.db"), "ledger l.db: ");
    // The ledger's path cannot be created.
    warned(&with("no/l.db"), "No such file or directory");
    warned(&with("spec.toml/l.db"), "Not a directory");
    std::fs::create_dir(pair.scratch.path().join("folder.db")).unwrap();
    warned(&with("folder.db"), "folder.db");
    std::fs::write(pair.scratch.path().join(".pgreconcile"), "in the way").unwrap();
    warned(&comparing(&pair, &spec, &[]).run(), ".pgreconcile");
    // A file that even root cannot write to.
    let full = in_shell(
        &pair,
        "ulimit -f 8; trap '' XFSZ; exec \"$BIN\" compare spec.toml --settle 0s --ledger full.db --quiet",
    );
    assert_eq!(full.exits(1).stderr, "");
}

/// Sets a ledger's version, which is at a fixed offset of the file.
fn set_version(file: &Path, version: u32) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[60..64].copy_from_slice(&version.to_be_bytes());
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_newer_ledger_is_read_and_never_written() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let file = pair.scratch.path().join("l.db");
    let run = || pair.comparing(&spec, &["--ledger", "l.db"]).run();
    run().exits(1);
    set_version(&file, 99);
    let before = std::fs::read(&file).unwrap();
    for _ in 0..2 {
        let outcome = run();
        assert_eq!(runs(outcome.exits(1)), counted(&[("2", 2), ("4", 2), ("5", 2)]));
        assert!(outcome.stderr.contains("a newer version of this program"), "{}", outcome.stderr);
    }
    assert!(std::fs::read(&file).unwrap() == before, "it was written");
    // A call whose progress has to be stored for the next call is refused.
    for flags in [&["--slice", "--deadline", "9s"][..], &["--resume"]] {
        let flags = [flags, &["--ledger", "l.db"]].concat();
        let told = refused(&pair.comparing(&spec, &flags).run());
        assert!(told.iter().any(|told| told.headline.contains("a newer version")), "{told:?}");
        let hint = format!("{} needs a ledger that can be read and written", flags[0]);
        assert!(told.iter().any(|told| told.hint.contains(&hint)), "{told:?}");
    }
}

#[test]
fn a_place_that_is_a_slip_is_refused() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    for (place, why) in [("none", "write \"off\", a path"), ("", "write \"off\", a path")] {
        let told = refused(&pair.comparing(&spec, &["--ledger", place]).run());
        assert!(told.len() == 1 && told[0].headline.contains(why), "{told:#?}");
    }
}

/// A call of another verb with the ledger beside the spec, without any of the spec's variables.
fn telling(pair: &Pair, arguments: &[&str]) -> Outcome {
    let program = Program::new().current_dir(pair.scratch.path()).args(arguments);
    program.without("PGRECONCILE_LEDGER").run()
}

/// A reader could not determine whether differences increase or decrease.
#[test]
fn history_lists_runs_and_what_changed_between_them() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let run = |flags: &[&str]| comparing(&pair, &spec, flags).run();
    run(&[]).exits(1);
    pair.sql(Side::Target, "insert into t values (4, 'v4', 4); update t set v = 'x' where id = 2");
    pair.sql(Side::Target, "update t set v = 'y' where id = 1");
    run(&[]).exits(1);
    run(&["--max-findings", "1"]).exits(3);
    let _ = run(&["--sample", "50%", "--chunk-rows", "1"]);
    let history = telling(&pair, &["history", "spec.toml", "--format", "json"]);
    let history: Value = serde_json::from_str(&history.exits(0).stdout).unwrap();
    assert_eq!(history["spec"], "test");
    let told = |run: &Value| {
        let trend = ["new", "changed", "same", "gone"].map(|name| run["trend"][name].as_u64());
        (
            run["summary"]["verdict"].as_str().unwrap().to_owned(),
            trend.map(Option::unwrap_or_default),
        )
    };
    let runs: Vec<_> = history["runs"].as_array().unwrap().iter().collect();
    assert_eq!(runs[0]["trend"], Value::Null);
    assert_eq!(told(runs[1]), ("diverged".to_owned(), [1, 1, 1, 1]));
    // Differences that were not reported, or not compared, do not count as gone.
    assert_eq!(told(runs[2]), ("incomplete".to_owned(), [0, 0, 1, 0]));
    assert_eq!(told(runs[3]).1[3], 0);
    assert_eq!((&runs[3]["sample"], runs.len()), (&"50%".into(), 4));
    let kinds = &runs[0]["findings"];
    let one = serde_json::json!({"mismatch": 1, "only_in_source": 1, "only_in_target": 1});
    assert_eq!(
        (kinds, &runs[0]["rows"]["source"], &runs[0]["coverage"]),
        (&one, &4.into(), &1.0.into())
    );
    for run in &runs {
        assert!(run["started_at"].as_str().unwrap().ends_with('Z') && run["verb"] == "compare");
        assert!(run["summary"]["elapsed_ms"].is_u64() && run["scope"].is_string());
    }
    // A sample has verified nothing, even if it had so few rows that it read all of them.
    let verified = &history["verified"];
    assert_eq!((&verified[0]["mapping"], &verified[0]["share"]), (&"t".into(), &1.0.into()));
    let second = |moment: &Value| moment.as_str().unwrap()[..19].to_owned();
    assert_eq!(second(&verified[0]["since"]), second(&runs[1]["started_at"]));
    assert_eq!(verified[1], Value::Null);
    // A run that ended early has not verified the whole.
    run(&["--max-findings", "1"]).exits(3);
    let later = telling(&pair, &["history", "spec.toml", "--format", "json"]);
    let later: Value = serde_json::from_str(&later.exits(0).stdout).unwrap();
    assert_eq!(&later["verified"], verified);
    let people = telling(&pair, &["history", "spec.toml"]);
    assert!(people.exits(0).stdout.starts_with("test: 5 runs\n"), "{}", people.stdout);
    assert!(people.stdout.ends_with(": 100% of t\n"), "{}", people.stdout);
    assert!(people.stdout.contains("(50%)"), "{}", people.stdout);
    assert_eq!(telling(&pair, &["history", "spec.toml", "--quiet"]).exits(0).stdout, "");
}

/// The trend of the other mappings would be lost after a run of one mapping.
#[test]
fn each_mapping_is_held_against_the_last_run_that_compared_it() {
    let pair = diverged();
    for side in Side::BOTH {
        pair.sql(side, "create table u as table t; alter table u add primary key (id)");
        pair.grant(side);
    }
    let spec = pair.spec(&format!("{MAPPING}{}", MAPPING.replace("public.t", "public.u")));
    for flags in [&[][..], &["--mapping", "t"], &[]] {
        comparing(&pair, &spec, flags).run().exits(1);
    }
    let history = telling(&pair, &["history", "spec.toml", "--format", "json"]);
    let history: Value = serde_json::from_str(&history.exits(0).stdout).unwrap();
    let same = |run: usize| history["runs"][run]["trend"]["same"].as_u64().unwrap();
    assert_eq!((same(1), same(2)), (3, 6), "{history}");
}

#[test]
fn a_finished_run_can_be_reported_in_every_format() {
    let pair = diverged();
    let both = "[[mapping]]\nkey = [\"k\"]\n[mapping.source]\ntable = \"public.d\"\n\
                [mapping.target]\ntable = \"public.d\"\n";
    let spec = pair.spec(&format!("{MAPPING}{both}"));
    let flags = ["--report", "a.json", "--report", "a.csv"];
    let first = comparing(&pair, &spec, &flags).run();
    first.exits(1);
    let read = |name: &str| std::fs::read_to_string(pair.scratch.path().join(name)).unwrap();
    let tell = |flags: &[&str]| telling(&pair, &[&["report", "spec.toml"], flags].concat());
    let again = tell(&["--format", "jsonl", "--report", "b.json", "--report", "b.csv"]);
    let sorted = |outcome: &Outcome| {
        let mut lines: Vec<String> = outcome.stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(again.exits(0)), sorted(&first));
    assert_eq!(read("a.csv"), read("b.csv"));
    let value = |name: &str| serde_json::from_str::<Value>(&read(name)).unwrap();
    for part in ["run", "findings", "undecided", "summary"] {
        assert_eq!(value("a.json")[part], value("b.json")[part]);
    }
    let id = first.records("run")[0]["run"].as_str().unwrap().to_owned();
    let people = tell(&[]).exits(0).stdout.clone();
    assert!(
        people.contains(&format!("run {id} took")) && people.contains("exit code 1"),
        "{people}"
    );
    // Any run can be named; the newest is the default.
    pair.sql(Side::Source, "delete from t");
    comparing(&pair, &spec, &["--keys-only"]).run().exits(1);
    assert_eq!(sorted(&tell(&["--run", &id, "--format", "jsonl"])), sorted(&first));
    let newest = tell(&["--format", "jsonl"]);
    assert_ne!(newest.records("run")[0]["run"], id);
    assert!(newest.stdout.contains("\"columns\":{}"), "{}", newest.stdout);
}

#[test]
fn what_cannot_be_reported_is_an_error_with_a_remedy() {
    let (pair, spec) = slow(20_000);
    let tell = |arguments: &[&str]| {
        let told = refused(&telling(&pair, arguments));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(!told[0].hint.is_empty(), "{told:#?}");
        told[0].headline.clone()
    };
    for verb in ["history", "report"] {
        assert!(tell(&[verb, "spec.toml"]).contains("it holds no run"));
        assert!(tell(&[verb, "spec.toml", "--ledger", "off"]).contains("without a ledger"));
        assert!(tell(&[verb, "no.toml"]).contains("no.toml cannot be read"));
        pair.scratch.file("l.db", &"no ledger ".repeat(1000));
        assert!(tell(&[verb, "spec.toml", "--ledger", "l.db"]).contains("it is damaged"));
    }
    // A killed run is stored without an end, with what it had reported.
    let mut running = comparing(&pair, &spec, SLOWLY).start();
    running.await_line("chunk=2 ");
    let history = telling(&pair, &["history", "spec.toml"]);
    assert!(history.exits(0).stdout.contains("no end"), "{}", history.stdout);
    running.signal("KILL");
    let _ = running.finish();
    let told = tell(&["report", "spec.toml"]);
    assert!(told.contains("no finished run"), "{told}");
    assert!(tell(&["report", "spec.toml", "--run", "01J"]).contains("has no run 01J"));
    let history = telling(&pair, &["history", "spec.toml", "--format", "json"]);
    let history: Value = serde_json::from_str(&history.exits(0).stdout).unwrap();
    assert_eq!(history["runs"][0]["summary"], Value::Null);
    let id = history["runs"][0]["run"].as_str().unwrap();
    assert!(tell(&["report", "spec.toml", "--run", id]).contains("has not finished"));
    // A newer ledger is read.
    comparing(&pair, &spec, &["--deadline", "2s"]).run().exits(3);
    set_version(&pair.scratch.path().join(".pgreconcile/test.db"), 99);
    let told = telling(&pair, &["report", "spec.toml", "--format", "jsonl"]);
    assert!(!told.exits(0).records("undecided").is_empty());
}
