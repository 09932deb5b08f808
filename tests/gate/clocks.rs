//! Wrong clocks: on the machine that compares, on the one that runs the gate, on a server.
//!
//! The test moves a run in time through its recorded times: the program's own recorder records real
//! runs again, with other times. This needs no library that replaces the program's clock, which not
//! every machine has, and the ledger's rows get their checksums as in any run.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use pgreconcile::event::Event;
use pgreconcile::ledger::{Location, Recorder, ReplayOutcome, Store};
use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::gate::{MAPPINGS, alike, asking, clean_runs, compare, reasons, spec};
use crate::support::report::json;
use crate::support::{Outcome, Pair, fault};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const MONTH: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How far the clocks of the machine, the source and the target were ahead of the true time.
type Ahead = [SignedDuration; 3];

const RIGHT: Ahead = [SignedDuration::ZERO; 3];

fn moved(moment: &mut String, by: SignedDuration) {
    let noted: Timestamp = moment.parse().unwrap();
    *moment = (noted + by).to_string();
}

/// Records the runs of the spec's ledger in another ledger, with the times of wrong clocks.
fn recorded(pair: &Pair, file: &str, ahead: Ahead) -> PathBuf {
    let folder = pair.scratch.path();
    let (from, to) = (folder.join(".pgreconcile/test.db"), folder.join(file));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(record(&from, &to, ahead));
    to
}

async fn record(from: &Path, to: &Path, [machine, source, target]: Ahead) {
    let from = Store::read(&Location::File(from.to_owned())).await.unwrap().unwrap();
    for past in from.read_runs("test").await.unwrap() {
        let mut events = Vec::new();
        let told = from.replay("test", Some(&past.run), |event| events.push(event)).await;
        assert_eq!(told.unwrap(), ReplayOutcome::Replayed);
        for event in &mut events {
            let clocks = match event {
                Event::RunStarted(run) => {
                    moved(&mut run.started_at, machine);
                    &mut run.clocks
                }
                Event::RunFinished(summary) => {
                    moved(summary.ended_at.as_mut().unwrap(), machine);
                    &mut summary.clocks
                }
                _ => continue,
            };
            moved(clocks.source.as_mut().unwrap(), source);
            moved(clocks.target.as_mut().unwrap(), target);
        }
        let store = Store::create(&Location::File(to.to_owned())).await.unwrap();
        let mut recorder = Recorder::new(store, "compare");
        recorder.set_run_fingerprint(from.read_run_fingerprint(&past.run).await.unwrap().unwrap());
        recorder.record_events(&mut events).await;
        assert!(recorder.problem().is_none());
    }
}

fn verb(pair: &Pair, ledger: &Path, args: &[&str]) -> Outcome {
    let program = pair.program().env("PGRECONCILE_LEDGER", ledger.to_str().unwrap());
    program.args(args).run()
}

/// Returns the conditions that close the gate.
fn conditions(pair: &Pair, ledger: &Path) -> Vec<String> {
    let told = verb(pair, ledger, &["gate", "spec.toml", "--format", "json"]);
    let record = json(&told.exits(1).stdout);
    let reasons = record["reasons"].as_array().unwrap().iter();
    let mut conditions: Vec<_> =
        reasons.map(|reason| reason["condition"].as_str().unwrap().to_owned()).collect();
    conditions.dedup();
    conditions
}

#[test]
fn runs_of_a_clock_that_was_wrong_open_nothing() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    clean_runs(&pair, &spec, 2);
    let as_it_is = recorded(&pair, "right.db", RIGHT);
    verb(&pair, &as_it_is, &["gate", "spec.toml"]).exits(0);
    let mut wrong = 0;
    for (place, name) in ["machine that it ran on", "source", "target"].iter().enumerate() {
        wrong += 1;
        let mut ahead = RIGHT;
        ahead[place] = MONTH;
        let ledger = recorded(&pair, &format!("{place}.db"), ahead);
        let told = reasons(&verb(&pair, &ledger, &["gate", "spec.toml"]));
        assert_eq!(told.len(), 2, "{told:#?}");
        let words =
            format!(" after now by the clock of the {name}: that clock was wrong then, or is");
        assert!(told.iter().all(|line| line.contains(&words)), "{told:#?}");
        assert_eq!(conditions(&pair, &ledger), ["clock"]);
    }
    // 20 days without a run later, the time of the clock that was ahead is still in the future.
    let day = HOUR * 24;
    let ledger = recorded(&pair, "later.db", [day * 10, -day * 20, -day * 20]);
    assert_eq!(conditions(&pair, &ledger), ["coverage", "age", "clock"]);
    wrong += 1;
    // The machine's clock was set back since then: the servers' clocks give the age of the runs.
    for place in [1, 2] {
        let mut behind = RIGHT;
        behind[place] = -HOUR * 8;
        let ledger = recorded(&pair, &format!("old{place}.db"), behind);
        assert_eq!(conditions(&pair, &ledger), ["age"]);
        wrong += 1;
    }
    wrong += newest_of_a_clock_that_was_ahead(&pair);
    fault::CLOCK_WRONG.tried(wrong);
}

/// Checks that the newest run is the one that ended last, whatever the clock of an earlier one was.
/// Returns how many clocks were wrong.
fn newest_of_a_clock_that_was_ahead(pair: &Pair) -> usize {
    let ledger = recorded(pair, "ahead.db", [MONTH, RIGHT[1], RIGHT[2]]);
    pair.sql(Side::Target, "update t set v = 'x' where id = 3");
    let flags = ["--settle", "0s", "--format", "jsonl"];
    let compare = || verb(pair, &ledger, &[&["compare", "spec.toml"][..], &flags].concat());
    let first = compare();
    let run = |outcome: &Outcome| outcome.records("run")[0]["run"].clone();
    let warning = "warning: the clock of this machine has gone back by 7";
    assert!(first.exits(1).stderr.contains(warning), "{}", first.stderr);
    // A report, a recheck and the history use the run that ended last.
    let told = verb(pair, &ledger, &["report", "spec.toml", "--format", "jsonl"]);
    assert_eq!(run(told.exits(0)), run(&first));
    let rechecked = verb(pair, &ledger, &[&["recheck", "spec.toml"][..], &flags].concat());
    assert_eq!(rechecked.exits(1).records("finding").len(), 1);
    assert_eq!(rechecked.stderr, "");
    let history = verb(pair, &ledger, &["history", "spec.toml", "--format", "json"]);
    let verbs: Vec<Value> = json(&history.stdout)["runs"].as_array().unwrap().clone();
    assert_eq!(
        verbs.iter().map(|run| &run["verb"]).collect::<Vec<_>>(),
        ["compare", "compare", "compare", "recheck"]
    );
    // The difference has existed since the previous run, and the run that was ahead is not
    // considered.
    let again = compare();
    assert_eq!(again.exits(1).records("finding")[0]["recurrence"], "same");
    assert_eq!(again.stderr, "");
    pair.sql(Side::Target, "update t set v = 'v' || id");
    for _ in 0..2 {
        compare().exits(0);
    }
    verb(pair, &ledger, &["gate", "spec.toml"]).exits(0);
    1
}

#[test]
fn a_run_notes_the_clocks_of_both_servers() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    let outcome = compare(&pair, &spec, &[]);
    let (run, summary) = (&outcome.exits(0).records("run")[0], &outcome.records("summary")[0]);
    let moment = |text: &Value| text.as_str().unwrap().parse::<Timestamp>().unwrap();
    // Here all of them are one clock.
    for side in ["source", "target"] {
        let noted = [
            &run["started_at"],
            &run["clocks"][side],
            &summary["clocks"][side],
            &summary["ended_at"],
        ];
        assert!(noted.map(moment).is_sorted(), "{run} {summary}");
    }
    asking(&pair, &[]).run().exits(1);
}
