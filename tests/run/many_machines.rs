//! One run of many processes: each part is compared once, parts of dead processes are taken over,
//! and the report of the whole is that of one process.

use std::path::{Path, PathBuf};

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::ledger_database::LedgerDatabase;
use crate::support::{MAPPING, Outcome, Pair, Program, Running, refused};

/// The arguments of all processes of a run.
struct Run<'p> {
    pair: &'p Pair,
    spec: PathBuf,
    ledger: String,
}

impl Run<'_> {
    fn process(&self, id: &str, flags: &[&str]) -> Program {
        let process = self.pair.comparing(&self.spec, &["--jobs", "1", "-vv", "--run-id", id]);
        process.env("PGRECONCILE_LEDGER", &self.ledger).args(flags)
    }

    /// One in which a difference must not change for a long time before it is confirmed.
    fn patient(&self, id: &str) -> Program {
        let process = self.pair.program().arg("compare").arg(self.spec.to_str().unwrap());
        let process = process.args(&["--settle", "30s", "-vv", "--progress", "never"]);
        process.env("PGRECONCILE_LEDGER", &self.ledger).args(&["--run-id", id])
    }
}

/// Rows on each side. The target lacks a range and has some other values; every thousandth row
/// takes some time.
fn pair(rows: u32, key: &str) -> Pair {
    let (columns, id) = match key {
        "uuid" => ("id uuid primary key", "md5((n)::text)::uuid"),
        // The statistics have no histogram of these.
        "tenant, id" => ("tenant int, id int, primary key (tenant, id)", "(n) / 100000, n"),
        _ => ("id int primary key", "n"),
    };
    let fill = format!(
        "create table t ({columns}, v int); \
         insert into t select {id}, n from generate_series(1, {rows}) n;"
    );
    let (low, high) = (rows / 2, rows / 2 + 25_000);
    Pair::new(
        &format!("{fill} analyze t;"),
        &format!(
            "{fill} delete from t where v between {low} and {high}; delete from t where v % 9777 = 0; \
             update t set v = -v where v % 7333 = 0; insert into t select {}, 0; analyze t;",
            id.replace('n', "-1")
        ),
    )
}

fn spec(pair: &Pair, pause: &str) -> PathBuf {
    let slow = format!("public.t\"\nwhere = \"v % 1000 <> 0 or pg_sleep({pause}) is not null\"\n");
    pair.spec(&MAPPING.replace("public.t\"\n", &slow))
}

fn alone(pair: &Pair, spec: &Path) -> Outcome {
    pair.comparing(spec, &[]).run()
}

/// The output of a run without times, durations and ids.
fn essence(outcome: &Outcome) -> (Vec<String>, Value) {
    let mut mapping = outcome.balances().mapping();
    mapping["elapsed_ms"] = Value::Null;
    mapping.as_object_mut().unwrap().remove("paced");
    (outcome.findings(), mapping)
}

/// Returns the process that reported the whole run; the others name it and have the same exit code.
fn told(outcomes: Vec<Outcome>, code: i32) -> Outcome {
    let (mut tell, others): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|outcome| !outcome.stdout.is_empty());
    assert_eq!(tell.len(), 1, "{tell:?}\n{others:?}");
    for other in others {
        assert!(other.exits(code).stderr.contains("another process has reported it"), "{other:?}");
    }
    let tell = tell.remove(0);
    tell.exits(code);
    tell
}

fn all(processes: Vec<Running>) -> Vec<Outcome> {
    processes.into_iter().map(Running::finish).collect()
}

#[test]
fn three_processes_compare_each_part_once_and_agree_with_one() {
    three_processes("int");
}

#[test]
fn three_processes_share_a_table_whose_key_has_several_columns() {
    three_processes("tenant, id");
}

fn three_processes(key: &str) {
    let (pair, keeper) = (pair(300_000, key), LedgerDatabase::new());
    let spec = spec(&pair, "0.002");
    let whole = alone(&pair, &spec);
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    let processes = (0..3).map(|_| run.process("a-1", &[]).start()).collect();
    let outcomes = all(processes);
    let finished = |outcome: &Outcome| outcome.stderr.matches("chunk finished").count();
    assert!(outcomes.iter().all(|outcome| finished(outcome) > 0), "{outcomes:?}");
    // Every row was read by exactly one process.
    let rows = |outcome: &Outcome| -> u64 {
        let lines = outcome.stderr.lines().filter(|line| line.contains("chunk finished"));
        lines.map(|line| number(line, "source_rows=")).sum()
    };
    assert_eq!(outcomes.iter().map(rows).sum::<u64>(), 300_000, "{outcomes:#?}");
    let outcome = told(outcomes, 1);
    assert_eq!(essence(&outcome), essence(&whole));
    assert_eq!(outcome.records("run")[0]["run"], "a-1");
    // A process that starts late reports how the run ended; nothing that only the run needed is
    // left.
    let late = run.process("a-1", &[]).run();
    assert!(late.exits(1).stderr.contains("is over: diverged"), "{late:?}");
    // It does not block another run either.
    run.process("a-2", &[]).run().exits(1);
    for table in ["chunk", "shard", "ruling"] {
        assert_eq!(keeper.sql(&format!("select count(*) from pgreconcile.{table}")).trim(), "0");
    }
    let report = pair.program().env("PGRECONCILE_LEDGER", &run.ledger);
    let report = report.args(&["report", "spec.toml", "--run", "a-1", "--format", "jsonl"]).run();
    assert_eq!(report.exits(0).findings(), outcome.findings());
}

fn number(line: &str, name: &str) -> u64 {
    let rest = line.split_once(name).unwrap().1;
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn parts_of_a_dead_process_are_taken_over() {
    for key in ["int", "uuid"] {
        let (pair, keeper) = (pair(100_000, key), LedgerDatabase::new());
        let spec = spec(&pair, "0.01");
        let whole = alone(&pair, &spec);
        let run = Run { pair: &pair, spec, ledger: keeper.url() };
        let flags = &["--chunk-rows", "1000"];
        let mut dead = run.process("b", flags).start();
        (0..4).for_each(|_| dead.await_line("chunk finished"));
        dead.signal("KILL");
        let _ = dead.finish();
        keeper.sql("update pgreconcile.shard set until = clock_timestamp() where not done");
        let others = (0..2).map(|_| run.process("b", flags).start()).collect();
        let outcome = told(all(others), 1);
        assert_eq!(essence(&outcome), essence(&whole), "{key}");
    }
}

/// A table that cannot be split would lose its progress: it is one part, and its finished chunks
/// count too.
#[test]
fn finished_chunks_of_a_mapping_that_is_one_part_are_taken_over() {
    let (pair, keeper) = (pair(60_000, "tenant, id"), LedgerDatabase::new());
    let spec = spec(&pair, "0.02");
    let whole = alone(&pair, &spec);
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    let flags = &["--chunk-rows", "2000"];
    let mut dead = run.process("h", flags).start();
    (0..6).for_each(|_| dead.await_line("chunk finished"));
    dead.signal("KILL");
    let _ = dead.finish();
    assert_eq!(keeper.sql("select count(*) from pgreconcile.shard").trim(), "1");
    let kept = "select count(*) from pgreconcile.chunk";
    let kept: usize = keeper.sql(kept).trim().parse().unwrap();
    assert!(kept > 1, "{kept}");
    keeper.sql("update pgreconcile.shard set until = clock_timestamp() where not done");
    let other = run.process("h", flags).run();
    let finished = other.stderr.matches("chunk finished").count();
    assert!(finished + kept <= 31, "{finished} beside {kept}");
    let outcome = told(vec![other], 1);
    assert_eq!(essence(&outcome), essence(&whole));
}

/// Rows of a part that another process has taken over would be counted by both.
#[test]
fn a_process_that_lost_its_part_counts_nothing_twice() {
    let (pair, keeper) = (pair(200_000, "int"), LedgerDatabase::new());
    let spec = spec(&pair, "0.01");
    let whole = alone(&pair, &spec);
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    let flags = &["--chunk-rows", "1000"];
    let mut slow = run.process("c", flags).start();
    (0..3).for_each(|_| slow.await_line("chunk finished"));
    slow.signal("STOP");
    keeper.sql("update pgreconcile.shard set until = clock_timestamp() where not done");
    let mut other = run.process("c", flags).start();
    (0..3).for_each(|_| other.await_line("chunk finished"));
    slow.signal("CONT");
    let outcome = told(all(vec![slow, other]), 1);
    assert_eq!(essence(&outcome), essence(&whole));
}

/// The last chunk of a process would have no end in its log if another process settled for it.
#[test]
fn a_process_that_does_not_settle_reports_what_it_compared() {
    let (pair, keeper) = (pair(60_000, "int"), LedgerDatabase::new());
    let spec = spec(&pair, "0");
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    run.process("first", &[]).run().exits(1);
    keeper.sql(
        "insert into pgreconcile.lease (kind, spec, run, holder, until) \
         values ('report', 'second', 'second', 'another', 'infinity')",
    );
    let process = run.process("second", &[]).start();
    keeper.sql(
        "do $$ begin loop exit when exists (select from pgreconcile.shard) \
         and not exists (select from pgreconcile.shard where not done); \
         perform pg_sleep(0.01); commit; end loop; end $$",
    );
    process.signal("TERM");
    let outcome = process.finish();
    assert!(
        outcome.exits(3).stderr.contains("everything is compared; what differs"),
        "{outcome:?}"
    );
    let told = |words: &str| outcome.stderr.matches(words).count();
    assert!(told("chunk started") > 0, "{outcome:?}");
    assert_eq!(told("chunk finished"), told("chunk started"), "{outcome:?}");
}

#[test]
fn a_process_that_is_stopped_leaves_the_run_to_the_others() {
    let (pair, keeper) = (pair(200_000, "int"), LedgerDatabase::new());
    let spec = spec(&pair, "0.01");
    let whole = alone(&pair, &spec);
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    pair.scratch.file("old.json", "old");
    let flags = &["--chunk-rows", "2000"];
    let mut first = run.process("d", &[&flags[..], &["--report", "old.json"]].concat()).start();
    first.await_line("chunk finished");
    first.signal("TERM");
    let first = first.finish();
    assert!(first.exits(3).stderr.contains("run d is left to the other processes: "), "{first:?}");
    let next = format!("\nnext: pgreconcile compare {} --run-id d\n", run.spec.display());
    assert!(first.stderr.ends_with(&next), "{first:?}");
    assert_eq!(first.stdout, "");
    let old = std::fs::read_to_string(pair.scratch.path().join("old.json")).unwrap();
    assert_eq!(old, "old");
    let deadline = run.process("d", &[&flags[..], &["--deadline", "4s"]].concat()).run();
    deadline.exits(3);
    let outcome = told(vec![run.process("d", &[]).run()], 1);
    assert_eq!(essence(&outcome), essence(&whole));
}

/// Few rows differ; otherwise buckets would not help.
fn few_differ(rows: u32) -> Pair {
    let fill = format!(
        "create table t (id uuid primary key, v int); \
         insert into t select md5((n)::text)::uuid, n from generate_series(1, {rows}) n;"
    );
    let seed =
        "delete from t where v % 977 = 0; update t set v = -v where v % 2833 = 0; analyze t;";
    Pair::new(&format!("{fill} analyze t;"), &format!("{fill} {seed}"))
}

/// Ranges and buckets partition rows differently: one process would count as the whole what another
/// counts as a part. Flags and statistics decide between the two.
#[test]
fn processes_with_other_plans_count_each_row_once() {
    let (pair, keeper) = (few_differ(120_000), LedgerDatabase::new());
    let spec = spec(&pair, "0.01");
    let whole = alone(&pair, &spec);
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    let (ranges, buckets) = (&["--chunk-rows", "1500"][..], &[][..]);
    let forget = "delete from pg_statistic where starelid = 't'::regclass";
    for (place, (flags, before, others, then, dies)) in [
        (ranges, "select", buckets, "select", false),
        (ranges, "select", buckets, "select", true),
        (buckets, "select", ranges, "select", false),
        (buckets, forget, buckets, "analyze t", true),
        (buckets, "analyze t", buckets, forget, true),
    ]
    .into_iter()
    .enumerate()
    {
        let all_say = |sql| Side::BOTH.map(|side| pair.sql(side, sql));
        let id = format!("i{place}");
        all_say(before);
        let mut first = run.process(&id, flags).start();
        first.await_line("mapping started");
        let mut outcomes = Vec::new();
        if dies {
            first.signal("KILL");
            let _ = first.finish();
            keeper.sql("update pgreconcile.shard set until = clock_timestamp() where not done");
        } else {
            outcomes.push(first);
        }
        all_say(then);
        outcomes.push(run.process(&id, others).start());
        let outcome = told(all(outcomes), 1);
        assert_eq!(essence(&outcome), essence(&whole), "{id}");
    }
}

/// Another run of the spec would have to wait for a process that ended regularly. It has to wait
/// only while another process of that run is alive.
#[test]
fn the_last_process_that_leaves_gives_the_spec_free() {
    let (pair, keeper) = (pair(60_000, "int"), LedgerDatabase::new());
    // No process reaches the end of its shard, however slow the machine is.
    let spec = spec(&pair, "1");
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    let process = || run.process("k", &["--chunk-rows", "1000"]).start();
    let working = || {
        let mut process = process();
        process.await_line("mapping started");
        process
    };
    let leave = |process: Running| {
        process.signal("TERM");
        process.finish().exits(3);
    };
    let held = || {
        keeper.sql("select count(*) from pgreconcile.lease where kind = 'spec' and spec = 'test'")
    };
    let leases = || keeper.sql("select count(*) from pgreconcile.lease");
    let first = working();
    let ledger = &keeper.pair.clusters.source;
    let begun = keeper.sql("select clock_timestamp()");
    let idle = process();
    // A signal that arrives during planning would end it with another exit code.
    let waits = format!(
        "select count(*) > 0 from pg_stat_activity where datname = current_database()
         and backend_start > '{begun}' and pid <> pg_backend_pid() and query like '%shard%'"
    );
    ledger.await_answer(&keeper.pair.database, &waits, "t");
    keeper.pair.clusters.source.await_answer(
        &keeper.pair.database,
        "select count(*) from pgreconcile.lease where kind = 'process' and run = 'k'",
        "2",
    );
    leave(first);
    assert_eq!(held(), "1");
    leave(idle);
    assert_eq!(leases(), "0");
    // A process that died keeps the lease until the lease expires, even if another process ends.
    let dead = working();
    dead.signal("KILL");
    let _ = dead.finish();
    keeper.sql("update pgreconcile.shard set until = clock_timestamp()");
    let until = |lasts: &str| {
        let until = format!(
            "update pgreconcile.lease set until = {lasts} where kind = 'process' and run = 'k'"
        );
        keeper.sql(&until);
    };
    until("clock_timestamp() + interval '1 h'");
    leave(working());
    assert_eq!(held(), "1");
    until("clock_timestamp()");
    leave(working());
    assert_eq!(leases(), "0");
}

/// All of a short time would be used for waiting: half of it is for work, as in a run of one
/// process.
#[test]
fn a_short_deadline_of_a_shared_run_is_used_and_reported() {
    let (pair, keeper) = (pair(60_000, "int"), LedgerDatabase::new());
    let spec = spec(&pair, "0.1");
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    let outcome = run.process("l", &["--chunk-rows", "500", "--deadline", "3s"]).run();
    assert!(outcome.exits(3).stderr.contains("reason=\"the deadline was reached\""), "{outcome:?}");
    assert!(outcome.stderr.contains("chunk finished"), "{outcome:?}");
    assert!(!outcome.stderr.contains("interrupted"), "{outcome:?}");
}

#[test]
fn whoever_settles_and_dies_is_followed_by_another() {
    let (pair, keeper) = (pair(100_000, "int"), LedgerDatabase::new());
    let spec = spec(&pair, "0.001");
    let whole = alone(&pair, &spec);
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    let mut first = run.patient("e").start();
    first.await_line("recheck finished");
    first.signal("KILL");
    let _ = first.finish();
    keeper.sql("update pgreconcile.lease set until = clock_timestamp() where kind = 'report'");
    let outcome = told(vec![run.process("e", &[]).run()], 1);
    assert_eq!(essence(&outcome), essence(&whole));
}

/// An incomplete shared run could not be finished: a call with the same id only reports that such a
/// run has ended.
#[test]
fn an_incomplete_shared_run_goes_on_with_resume() {
    let (pair, keeper) = (pair(120_000, "int"), LedgerDatabase::new());
    let fails = MAPPING.replace("public.t\"\n", "public.t\"\nwhere = \"1 / (v - 777) < 2\"\n");
    let run = Run { pair: &pair, spec: pair.spec(&fails), ledger: keeper.url() };
    let process = || {
        let process = pair.program().args(&["compare", run.spec.to_str().unwrap()]);
        process.args(&["--settle", "0s", "--ledger", &run.ledger, "--progress", "never"])
    };
    let first = process().args(&["--run-id", "n"]).run();
    let last = first.exits(3).stdout.lines().last().unwrap();
    let next = format!("{} --ledger {} --resume", run.spec.display(), run.ledger);
    assert_eq!(last.replace('\'', ""), format!("next: pgreconcile compare {next}"));
    for side in Side::BOTH {
        pair.sql(side, "update t set v = 778 where v = 777");
    }
    let whole = alone(&pair, &run.spec);
    let flags = ["--format", "jsonl", "--resume", "-vv"];
    let second = process().args(&flags).run();
    assert_eq!(essence(second.exits(1)), essence(&whole));
    assert!(second.stderr.contains("run n of "), "{second:?}");
    assert!(second.stderr.matches("chunk finished").count() < 3, "{second:?}");
}

/// Rows of one part that were not read would be reported as all rows of the table.
#[test]
fn a_shared_run_whose_table_changed_reports_its_share() {
    let (pair, keeper) = (pair(300_000, "int"), LedgerDatabase::new());
    let spec = spec(&pair, "0.02");
    let run = Run { pair: &pair, spec, ledger: keeper.url() };
    let mut processes = [(); 2].map(|()| run.process("m", &["--chunk-rows", "5000"]).start());
    (0..8).for_each(|_| processes[0].await_line("chunk finished"));
    pair.sql(Side::Target, "alter table t add column w int");
    let outcome = told(all(processes.into()), 3);
    let mapping = outcome.balances().mapping();
    let judged = mapping["rows"]["source"].as_f64().unwrap() / 300_000.0;
    let coverage = mapping["coverage"].as_f64().unwrap();
    assert!(judged > 0.1 && (coverage - judged).abs() < 0.03, "{judged}: {mapping}");
}

#[test]
fn a_process_with_other_arguments_may_not_take_part() {
    let (pair, keeper) = (pair(30_000, "int"), LedgerDatabase::new());
    let spec = spec(&pair, "0.01");
    let run = Run { pair: &pair, spec: spec.clone(), ledger: keeper.url() };
    let mut first = run.process("f", &["--chunk-rows", "500"]).start();
    first.await_line("chunk finished");
    let say = |outcome: Outcome, words: &str| {
        let told = refused(&outcome);
        assert!(told.iter().any(|told| told.headline.contains(words)), "{told:?}");
    };
    say(run.process("f", &["--strategy", "stream"]).run(), "was started with other options");
    let other = std::fs::read_to_string(&run.spec).unwrap().replace("\"test\"", "\"other\"");
    let other =
        Run { pair: &pair, spec: pair.scratch.file("other.toml", &other), ledger: keeper.url() };
    say(other.process("f", &[]).run(), "it is of spec \"test\", and this is spec \"other\"");
    say(run.process("f", &["--resume"]).run(), "needs no --resume");
    say(run.process("f g", &[]).run(), "invalid value 'f g'");
    let elsewhere = |ledger: &str| {
        pair.comparing(&spec, &["--run-id", "f"]).env("PGRECONCILE_LEDGER", ledger).run()
    };
    say(elsewhere("off"), "through a ledger in PostgreSQL");
    say(elsewhere("here.db"), "through a ledger in PostgreSQL");
    // Another run of the spec has to wait, as usual.
    let other = run.process("g", &[]).run();
    assert!(other.exits(4).stderr.contains("run f holds spec \"test\""), "{other:?}");
    first.signal("KILL");
    let _ = first.finish();
}
