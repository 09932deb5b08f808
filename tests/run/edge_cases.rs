//! Interruptions, shared runs and slices at the points where the ledger and the run could disagree.
//! Each test is named after the statement that would be wrong.

use std::path::{Path, PathBuf};

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::ledger_database::LedgerDatabase;
use crate::support::{Bouncer, Cluster, Fate, MAPPING, Outcome, Pair, Program, Proxy, Settings};

/// The program beside a ledger file.
fn comparing(pair: &Pair, spec: &Path, flags: &[&str]) -> Program {
    pair.comparing(spec, flags).without("PGRECONCILE_LEDGER")
}

/// The output of a run without times and durations.
fn essence(outcome: &Outcome) -> (Vec<String>, Value) {
    let mut mapping = outcome.balances().mapping();
    mapping["elapsed_ms"] = Value::Null;
    mapping.as_object_mut().unwrap().remove("paced");
    (outcome.findings(), mapping)
}

/// So many equal rows with an integer key.
fn rows(count: u32) -> Pair {
    let table = format!(
        "create table t (id int primary key, v int); \
         insert into t select n, n from generate_series(1, {count}) n; analyze t;"
    );
    Pair::new(&table, &table)
}

/// A mapping in which every five hundredth row takes some time.
fn slow_mapping(pause: &str) -> String {
    let slow = format!("public.t\"\nwhere = \"id % 500 <> 0 or pg_sleep({pause}) is not null\"\n");
    MAPPING.replace("public.t\"\n", &slow)
}

fn slow(pair: &Pair, pause: &str) -> PathBuf {
    pair.spec(&slow_mapping(pause))
}

/// Queries a ledger until it returns this.
fn await_answer(keeper: &LedgerDatabase, question: &str, answer: &str) {
    keeper.pair.clusters.source.await_answer(&keeper.pair.database, question, answer);
}

/// A chunk's rows would be assigned wrongly: keys whose order only the servers can compute cannot
/// be found among the keys of a chunk by binary search.
#[test]
fn a_slice_reports_earlier_findings_once_in_any_key_order() {
    let table = "create table t (id text collate \"und-x-icu\" primary key, v int); \
        insert into t select case when n % 2 = 0 then 'a' else 'B' end || (n % 97) || '-' || n, n \
        from generate_series(1, 3000) n; analyze t;";
    let pair = Pair::new(table, table);
    pair.sql(Side::Target, "update t set v = 0 where v % 100 = 0; delete from t where v % 77 = 1");
    let spec = pair.spec(MAPPING);
    let whole = comparing(&pair, &spec, &["--ledger", "whole.db"]).run();
    let essence = |outcome: &Outcome| {
        let mapping = outcome.balances().mapping();
        (outcome.findings(), mapping["rows"].clone(), mapping["books"].clone())
    };
    for _ in 0..3 {
        let slice = comparing(&pair, &spec, &["--slice", "--chunk-rows", "50"]).run();
        assert_eq!(essence(slice.exits(1)), essence(&whole));
    }
}

/// A cron job that always passes `--resume` would otherwise resume a run that has read everything,
/// and miss all changes since then.
#[test]
fn a_run_that_has_compared_everything_is_not_gone_on_with() {
    let pair = rows(2000);
    pair.sql(Side::Target, "update t set v = 0 where id in (3, 4, 5)");
    let spec = pair.spec(MAPPING);
    let first = comparing(&pair, &spec, &["--max-findings", "1", "--resume"]).run();
    assert_eq!(first.exits(3).mapping()["truncated"], true);
    pair.sql(Side::Target, "update t set v = id; update t set v = 0 where id = 1500");
    let second = comparing(&pair, &spec, &["--max-findings", "1", "--resume"]).run();
    assert_eq!(second.exits(1).findings().len(), 1, "{second:?}");
    assert!(second.stderr.contains("no run was interrupted"), "{second:?}");
}

/// What was compared before an interruption would be reported as newer than it is.
#[test]
fn ranges_verified_before_an_interruption_keep_their_time() {
    let pair = rows(20_000);
    let spec = slow(&pair, "0.1");
    let mut first = comparing(&pair, &spec, &["--chunk-rows", "500", "--jobs", "1", "-vv"]).start();
    (0..25).for_each(|_| first.await_line("chunk finished"));
    first.signal("INT");
    first.finish().exits(3);
    let second = comparing(&pair, &spec, &["--resume"]).run();
    let run = second.exits(0).records("run").remove(0);
    let history = pair.program().without("PGRECONCILE_LEDGER");
    let history = history.args(&["history", "spec.toml", "--format", "json"]).run();
    let history: Value = serde_json::from_str(&history.exits(0).stdout).unwrap();
    let whole = &history["verified"][0];
    assert_eq!(whole["share"], 1.0);
    let second = |moment: &Value| moment.as_str().unwrap()[..19].to_owned();
    assert_eq!(second(&whole["since"]), second(&run["started_at"]), "{run} {whole}");
}

/// A table scan that only one of many processes worked on would be taken for finished once it has
/// results.
#[test]
fn an_unfinished_table_scan_is_not_taken_for_a_whole_one() {
    let keeper = LedgerDatabase::new();
    let fill = "create table t (id uuid primary key, v int); \
        insert into t select md5((n)::text)::uuid, n from generate_series(1, 100000) n;";
    let pair = Pair::new(
        &format!("{fill} analyze t;"),
        &format!(
            "{fill} delete from t where v % 9777 = 0; update t set v = -v where v % 7333 = 0; analyze t"
        ),
    );
    let slow = "public.t\"\nwhere = \"v % 1000 <> 0 or pg_sleep(0.01) is not null\"\n";
    let spec = pair.spec(&MAPPING.replace("public.t\"\n", slow));
    let whole = pair.comparing(&spec, &[]).run();
    assert!(!whole.exits(1).findings().is_empty());
    let remembered = |flags: &[&str]| {
        pair.comparing(&spec, flags).env("PGRECONCILE_LEDGER", &keeper.url()).arg("-vv")
    };
    let mut dead = remembered(&["--run-id", "a", "--jobs", "1"]).start();
    dead.await_line("chunk finished");
    await_answer(&keeper, "select count(*) > 0 from pgreconcile.chunk", "t");
    dead.signal("KILL");
    let _ = dead.finish();
    keeper.sql("update pgreconcile.lease set until = clock_timestamp()");
    keeper.sql("update pgreconcile.shard set until = clock_timestamp() where not done");
    let alone = remembered(&["--resume"]).run();
    assert_eq!(essence(alone.exits(1)), essence(&whole));
}

/// Rows that were gone when a range was decided would be in the row counts of the resumed run.
#[test]
fn row_counts_balance_when_a_range_shrinks_before_recheck() {
    let keeper = LedgerDatabase::new();
    let pair = rows(20_000);
    pair.sql(Side::Target, "delete from t where id between 4000 and 14999; analyze t");
    let slow = "public.t\"\nwhere = \"id % 500 <> 0 or pg_sleep(case when id > 15000 then 1 else 0.1 end) is not null\"\n";
    let spec = pair.spec(&MAPPING.replace("public.t\"\n", slow));
    let program = |flags: &[&str]| {
        let program = pair.program().arg("compare").arg(spec.to_str().unwrap());
        let program = program.args(&["--settle", "1s", "--format", "jsonl", "--progress", "never"]);
        program.env("PGRECONCILE_LEDGER", &keeper.url()).args(flags)
    };
    let mut first = program(&["--chunk-rows", "500", "--jobs", "1", "-vv"]).start();
    (0..12).for_each(|_| first.await_line("chunk finished"));
    pair.sql(Side::Source, "delete from t where id = 4200");
    await_answer(&keeper, "select count(*) >= 23 from pgreconcile.ruling", "t");
    first.signal("KILL");
    let _ = first.finish();
    keeper.sql("update pgreconcile.lease set until = clock_timestamp()");
    let second = program(&["--resume"]).run();
    let mapping = second.exits(1).balances().mapping();
    assert_eq!(mapping["only_in_source"], 10_999, "{mapping}");
}

/// A message about a difference would be lost: what was reported before an interruption is reported
/// after it too.
#[test]
fn an_interruption_does_not_change_how_often_a_finding_recurs() {
    let pair = rows(20_000);
    pair.sql(Side::Target, "update t set v = 0 where id in (300, 400)");
    let spec = slow(&pair, "0.05");
    comparing(&pair, &spec, &[]).run().exits(1);
    let mut first = comparing(&pair, &spec, &["--chunk-rows", "500", "--jobs", "1", "-vv"]).start();
    (0..30).for_each(|_| first.await_line("chunk finished"));
    first.signal("INT");
    let first = first.finish();
    let told = |outcome: &Outcome| {
        let told = outcome.records("finding");
        let told = told
            .iter()
            .map(|f| (f["runs"].clone(), f["recurrence"].clone(), f["first_seen"].clone()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&first).len(), 2, "{first:?}");
    assert_eq!(told(&first)[0].1, "same");
    let second = comparing(&pair, &spec, &["--resume"]).run();
    assert_eq!(told(second.exits(1)), told(&first));
}

/// A process whose time ends while it settles would end the run for the others.
#[test]
fn a_deadline_while_settling_does_not_end_a_shared_run() {
    let keeper = LedgerDatabase::new();
    let pair = rows(2000);
    pair.sql(Side::Target, "update t set v = 0 where id in (300, 400)");
    let spec = pair.spec(MAPPING);
    let program = |settle: &str, flags: &[&str]| {
        let program = pair.program().arg("compare").arg(spec.to_str().unwrap());
        let program =
            program.args(&["--settle", settle, "--format", "jsonl", "--progress", "never"]);
        program.env("PGRECONCILE_LEDGER", &keeper.url()).args(&["--run-id", "a"]).args(flags)
    };
    let first = program("60s", &["--deadline", "9s"]).run();
    assert!(first.exits(3).stderr.contains("is left to the other processes"), "{first:?}");
    assert!(first.records("summary").is_empty(), "{first:?}");
    let second = program("0s", &[]).run();
    assert_eq!(second.exits(1).findings().len(), 2, "{second:?}");
}

/// Rows with a NULL in their key would be missed: they lie in no key range, so every slice counts
/// them.
#[test]
fn a_slice_does_not_pass_over_null_keys() {
    let table = "create table t (id int, v int); \
        insert into t select n, n from generate_series(1, 1000) n; create index on t (id); analyze t;";
    let pair = Pair::new(table, table);
    pair.sql(Side::Target, "insert into t values (null, 1)");
    let spec = pair.spec(&MAPPING.replace("[[mapping]]\n", "[[mapping]]\nkey = [\"id\"]\n"));
    let slice = comparing(&pair, &spec, &["--slice"]).run();
    assert_eq!(slice.exits(1).balances().mapping()["books"]["target"]["null_key"], 1);
}

/// Processes of one run that compare recent changes would use different points in time.
#[test]
fn processes_of_one_run_agree_on_what_lately_means() {
    let keeper = LedgerDatabase::new();
    let table = "create table t (id int primary key, v int, at timestamptz default now()); \
         insert into t select n, n from generate_series(1, 5000) n; analyze t;";
    let pair = Pair::new(table, table);
    let slow = "public.t\"\nchanged_at = \"at\"\nwhere = \"id % 500 <> 0 or pg_sleep(0.1) is not null\"\nignore = [\"at\"]\n";
    let spec = pair.spec(&MAPPING.replace("public.t\"\n", slow));
    let program = || {
        let program = pair.comparing(&spec, &["--run-id", "a", "--since", "1h", "-vv"]);
        program.env("PGRECONCILE_LEDGER", &keeper.url())
    };
    let mut first = program().start();
    first.await_line("chunk started");
    let second = program().run();
    second.exits(0);
    first.finish().exits(0);
}

/// A table that was created again would be taken for verified by runs from before.
#[test]
fn a_gate_ignores_what_was_verified_of_a_replaced_table() {
    for first in [&["--slice"][..], &[]] {
        let pair = rows(20_000);
        let spec = pair.spec(&format!("[gate]\nclean_runs = 1\n{}", slow_mapping("0.06")));
        comparing(&pair, &spec, first).run().exits(0);
        let gate =
            || pair.program().without("PGRECONCILE_LEDGER").args(&["gate", "spec.toml"]).run();
        assert_eq!(gate().exits(0).stderr, "");
        pair.sql(
            Side::Target,
            "alter table t rename to old; create table t (like old including all); \
             insert into t select id, case when id > 19990 then 0 else v end from old; analyze t",
        );
        pair.grant(Side::Target);
        comparing(&pair, &spec, SLICE).run().exits(0);
        let closed = gate();
        assert!(closed.exits(1).stdout.contains("is not what run"), "{closed:?}");
    }
}

const SLICE: &[&str] = &["--slice", "--deadline", "2800ms", "--chunk-rows", "500", "--jobs", "1"];

/// Findings of a deleted run would still be used.
#[test]
fn a_gate_does_not_count_what_a_forgotten_run_verified() {
    let (pair, keeper) = (rows(20_000), LedgerDatabase::new());
    pair.sql(Side::Target, "update t set v = 0 where id = 19999");
    let spec = pair.spec(&format!("[gate]\nclean_runs = 1\n{}", slow_mapping("0.06")));
    let remembered = |program: Program| program.env("PGRECONCILE_LEDGER", &keeper.url()).run();
    remembered(comparing(&pair, &spec, &["--slice"])).exits(1);
    keeper.sql("delete from pgreconcile.finding; delete from pgreconcile.run");
    remembered(comparing(&pair, &spec, SLICE)).exits(0);
    let gate = remembered(pair.program().args(&["gate", "spec.toml"]));
    let told = &gate.exits(1).stdout;
    assert!(told.contains("% of mapping \"t\" was verified within"), "{told}");
}

/// Two processes would write one run.
#[test]
fn a_process_that_was_away_longer_than_its_lease_writes_no_more() {
    let (pair, keeper) = (rows(20_000), LedgerDatabase::new());
    pair.sql(Side::Target, "update t set v = 0 where id % 500 = 0");
    let spec = slow(&pair, "0.05");
    let program = |flags: &[&str]| {
        let flags = [&["--chunk-rows", "500", "--jobs", "1", "-vv"], flags].concat();
        comparing(&pair, &spec, &flags).env("PGRECONCILE_LEDGER", &keeper.url())
    };
    let mut away = program(&[]).start();
    away.await_line("chunk=12 ");
    away.signal("STOP");
    keeper.sql("update pgreconcile.lease set until = clock_timestamp()");
    let resumed = program(&["--resume"]).run();
    assert_eq!(resumed.exits(1).findings().len(), 40);
    let count = "select count(*) from pgreconcile.finding";
    let before = keeper.sql(count);
    assert_eq!(before.trim(), "40");
    away.signal("CONT");
    let away = away.finish();
    assert_eq!(away.exits(1).findings().len(), 40);
    assert!(away.stderr.contains("has taken this run's lease over"), "{}", away.stderr);
    assert_eq!(keeper.sql(count), before);
}

/// What the network drops would be lost or be written twice: it is written once more and stored
/// once.
#[test]
fn a_ledger_whose_answers_get_lost_stores_a_run_whole() {
    let keeper = LedgerDatabase::new();
    let pair = rows(2000);
    pair.sql(Side::Target, "update t set v = 0 where id % 100 = 0");
    let spec = pair.spec(MAPPING);
    let compare = |ledger: &str| pair.comparing(&spec, &[]).env("PGRECONCILE_LEDGER", ledger).run();
    compare(&keeper.url()).exits(1);
    let database = keeper.sql("select current_database()").trim().to_owned();
    let cluster = &pair.clusters.source;
    let passed = Proxy::start(cluster, |_| Fate::Pass);
    compare(&passed.url(&database)).exits(1);
    let commits = passed.messages_with(0, "COMMIT");
    assert!(commits.len() > 5, "{commits:?}");
    for after in commits {
        let proxy = Proxy::start(cluster, move |number| match number {
            0 => Fate::Cut { after, reset: false },
            _ => Fate::Pass,
        });
        let outcome = compare(&proxy.url(&database));
        assert!(!outcome.exits(1).stderr.contains("not stored"), "{after} {outcome:?}");
    }
    let whole =
        keeper.sql("select count(*) from pgreconcile.run where findings <> 20 or summary is null");
    assert_eq!(whole.trim(), "0");
}

/// An interrupt would have no effect until the network times out.
#[test]
fn a_silent_ledger_does_not_delay_an_interrupt() {
    let (pair, keeper) = (rows(20_000), LedgerDatabase::new());
    let spec = slow(&pair, "0.05");
    for run_id in [None, Some("silent")] {
        let bouncer = Bouncer::start(keeper.pair.clusters, &keeper.pair.database, 2);
        let mut flags = vec!["--chunk-rows", "500", "--jobs", "1", "-vv"];
        flags.extend(run_id.into_iter().flat_map(|id| ["--run-id", id]));
        let program = comparing(&pair, &spec, &flags);
        let mut running = program.env("PGRECONCILE_LEDGER", &bouncer.url(Side::Source)).start();
        (0..6).for_each(|_| running.await_line("chunk finished"));
        bouncer.signal("STOP");
        running.signal("INT");
        // It ends while the ledger still does not respond.
        let outcome = running.finish();
        outcome.exits(3);
        if run_id.is_none() {
            assert!(outcome.stderr.contains("it did not answer"), "{}", outcome.stderr);
            assert!(!outcome.balances().records("undecided").is_empty(), "{outcome:?}");
        } else {
            assert!(outcome.stderr.contains("is left to the other"), "{}", outcome.stderr);
        }
        // The lease could not be released.
        keeper.sql("update pgreconcile.lease set until = clock_timestamp()");
    }
}

/// A process that paused while it settled would report the run again, although another one reported
/// it.
#[test]
fn a_run_that_another_process_finished_is_reported_once() {
    let keeper = LedgerDatabase::new();
    let pair = rows(2000);
    pair.sql(Side::Target, "update t set v = 0 where id % 100 = 0");
    let spec = pair.spec(MAPPING);
    let program = |settle: &str| {
        let program = pair.program().arg("compare").arg(spec.to_str().unwrap());
        let program = program.args(&["--settle", settle, "--format", "jsonl", "-vv"]);
        program.env("PGRECONCILE_LEDGER", &keeper.url()).args(&["--run-id", "a"])
    };
    let mut away = program("30s").start();
    away.await_line("recheck finished");
    away.signal("STOP");
    keeper.sql("update pgreconcile.lease set until = clock_timestamp() where kind = 'report'");
    let other = program("0s").run();
    assert_eq!(other.exits(1).findings().len(), 20);
    away.signal("CONT");
    let away = away.finish();
    assert!(away.exits(1).stderr.contains("another process has reported it"), "{away:?}");
    assert!(away.records("summary").is_empty(), "{away:?}");
    let kept = "select findings, summary is not null from pgreconcile.run";
    assert_eq!(keeper.sql(kept).trim(), "20|t");
}

/// A lost server would end the whole run: it ends one process, and the run resumes when the server
/// is back.
#[test]
fn a_lost_server_does_not_end_a_shared_run() {
    let keeper = LedgerDatabase::new();
    let table = "create table t (id int primary key, v int); \
        insert into t select n, n from generate_series(1, 20000) n;";
    let pair = Pair::new("select", &format!("{table} analyze t"));
    let own = Cluster::start(Settings(""));
    own.sql(
        "postgres",
        &format!("{table} update t set v = 0 where id % 1000 = 0; analyze t; checkpoint"),
    );
    let slow = "public.t\"\nwhere = \"id % 500 <> 0 or pg_sleep(0.05) is not null\"\n";
    let spec = pair.spec(&MAPPING.replace("public.t\"\n", slow));
    let process = || {
        let flags = ["--run-id", "a", "--chunk-rows", "500", "--jobs", "1", "-vv"];
        let program = pair.comparing(&spec, &flags).env("PGRECONCILE_LEDGER", &keeper.url());
        program.env("SOURCE_URL", &own.url("postgres", "postgres"))
    };
    let mut first = process().start();
    (0..5).for_each(|_| first.await_line("chunk finished"));
    own.kill();
    let first = first.finish();
    assert!(first.exits(3).stderr.contains("is left to the other processes"), "{first:?}");
    own.restart();
    assert_eq!(process().run().exits(1).balances().mapping()["mismatch"], 20);
}
