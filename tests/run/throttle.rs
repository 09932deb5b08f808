//! A run throttles itself in favour of the other users of its servers, reports why, and does not
//! take a missing measurement for a low load.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::cluster::binaries;
use crate::support::{Cluster, Outcome, Pair, Program, Running, Scratch, Settings};

const MAPPING: &str =
    "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n";

fn table(rows: u32) -> String {
    format!(
        "create table t (id int primary key, v text) with (autovacuum_enabled = off);
         insert into t select n, 'v' || n from generate_series(1, {rows}) n; analyze t;"
    )
}

/// The same mapping, where the source takes so many milliseconds a row.
fn slow(millis: f64) -> String {
    let seconds = millis / 1000.0;
    format!(
        "{MAPPING}[mapping.columns]\n\
         v = {{ sql = \"v || case when pg_sleep({seconds}) is null then '' else '' end\" }}\n"
    )
}

fn paced(outcome: &Outcome) -> Value {
    outcome.records("summary")[0]["paced"].clone()
}

/// The first reason, and how long the run waited.
fn waited(outcome: &Outcome) -> (String, u64) {
    let paced = paced(outcome);
    let reason = paced["reasons"][0].as_str().expect("a reason").to_owned();
    (reason, paced["waited_ms"].as_u64().expect("a time"))
}

#[test]
fn while_the_pause_file_is_there_nothing_new_is_started() {
    let pair = Pair::new(&table(2_000), &table(2_000));
    let spec = pair.spec(&format!("[pace]\npause_file = \"pause\"\n{MAPPING}"));
    let file = pair.scratch.file("pause", "");
    // From the start on.
    let mut running = pair.comparing(&spec, &["-vv"]).start();
    running.await_line("throttled period=0 waits=true");
    std::fs::remove_file(&file).unwrap();
    running.await_line("no longer throttled");
    let outcome = running.finish();
    outcome.balances().exits(0);
    let before = outcome.stderr.split("no longer throttled").next().unwrap();
    assert!(!before.contains("chunk started"), "{before}");
    let (reason, millis) = waited(&outcome);
    assert_eq!(reason, format!("pause file {} exists", file.display()));
    assert!(millis > 0, "{millis}");
    // While it runs, as shown on a terminal.
    let spec = pair.spec(&format!("[pace]\npause_file = \"pause\"\n{}", slow(1.0)));
    let mut running = pair
        .program()
        .args(&["compare", spec.to_str().unwrap(), "--settle", "0s", "--chunk-rows", "100", "-vv"])
        .args(&["--jobs", "1", "--progress", "always"])
        .start();
    running.await_line("chunk=2 ");
    std::fs::write(&file, "").unwrap();
    running.await_line("waiting: pause file");
    std::fs::remove_file(&file).unwrap();
    let outcome = running.finish();
    outcome.exits(0);
    assert!(outcome.stdout.contains("\npace: waited "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("pause exists"), "{}", outcome.stdout);
}

/// A run that waits for a busy server could not be ended.
#[test]
fn a_throttled_run_keeps_its_deadline_and_can_be_stopped() {
    let pair = Pair::new(&table(100), &table(100));
    let spec = pair.spec(&format!("[pace]\npause_file = \"pause\"\n{MAPPING}"));
    pair.scratch.file("pause", "");
    let outcome = pair.compare(&spec, &["--deadline", "2s"]);
    outcome.balances().exits(3);
    assert_eq!(outcome.mapping()["reason"], "the deadline was reached");
    assert_eq!(outcome.mapping()["coverage"], 0.0);
    let mut running = pair.comparing(&spec, &["-v"]).start();
    running.await_line("throttled");
    running.signal("INT");
    let outcome = running.finish();
    outcome.balances().exits(3);
    assert_eq!(outcome.mapping()["reason"], "interrupted");
    assert!(waited(&outcome).0.contains("pause"));
}

/// All sessions of other roles would look idle: an ordinary role cannot see their state.
#[test]
fn a_limit_that_the_role_cannot_see_is_refused_with_the_grant() {
    let pair = Pair::new(&table(100), &table(100));
    for (limit, what) in [
        ("max_active_sessions = 5", "to see the sessions of other roles"),
        ("max_replica_lag = \"10s\"", "to see the standbys of a primary"),
    ] {
        let spec = pair.spec(&format!("[pace]\n{limit}\n{MAPPING}"));
        for verb in ["check", "compare"] {
            let outcome = pair.program().args(&[verb, spec.to_str().unwrap()]).run();
            outcome.exits(2);
            assert!(outcome.stderr.contains(what), "{}", outcome.stderr);
            assert!(outcome.stderr.contains("GRANT pg_monitor TO reader;"), "{}", outcome.stderr);
        }
    }
}

/// The program with roles that may see other sessions.
fn monitoring(pair: &Pair, spec: &str, flags: &[&str]) -> Program {
    for (_, cluster) in pair.clusters.iter() {
        let role = "do $$ begin create role watcher login in role pg_monitor; exception when duplicate_object
            or unique_violation then null; end $$";
        cluster.sql("postgres", role);
    }
    for side in Side::BOTH {
        pair.sql(side, "grant select on t to watcher");
    }
    let url = |side: Side| pair.clusters[side].url("watcher", &pair.database);
    pair.comparing(&pair.spec(spec), flags)
        .env("SOURCE_URL", &url(Side::Source))
        .env("TARGET_URL", &url(Side::Target))
}

/// A session of another user.
struct Session(Child);

impl Session {
    fn busy(cluster: &Cluster, sql: &str) -> Session {
        let mut psql = Session::psql(cluster);
        Session(psql.args(["-c", sql]).spawn().expect("psql"))
    }

    /// Starts a session that has run commands, and waits for more.
    fn told(cluster: &Cluster, commands: &str) -> Session {
        let mut psql = Session::psql(cluster).stdin(Stdio::piped()).spawn().expect("psql");
        let input = psql.stdin.as_mut().expect("its input");
        input.write_all(commands.as_bytes()).expect("psql listens");
        Session(psql)
    }

    fn psql(cluster: &Cluster) -> Command {
        let mut psql = Command::new(binaries().join("psql"));
        psql.args(["-X", "-q", "-h"]).arg(cluster.socket());
        psql.args(["-p", &cluster.port.to_string(), "-U", "postgres", "-d", "postgres"]);
        psql.stdout(Stdio::null()).stderr(Stdio::null());
        psql
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn own_pair() -> (Cluster, Cluster) {
    let start = || {
        let cluster = Cluster::start(Settings::default());
        cluster.sql("postgres", &table(2_000));
        cluster
    };
    (start(), start())
}

fn between(source: &Cluster, target: &Cluster, spec: &str, flags: &[&str]) -> (Program, Scratch) {
    let scratch = Scratch::new();
    let head = "version = 1\nname = \"pace\"\n[source]\nurl = \"${SOURCE_URL}\"\n\
                [target]\nurl = \"${TARGET_URL}\"\n";
    let spec: PathBuf = scratch.file("spec.toml", &format!("{head}{spec}"));
    let program = Program::new()
        .env("SOURCE_URL", &source.url("postgres", "postgres"))
        .env("TARGET_URL", &target.url("postgres", "postgres"))
        .args(&["compare", spec.to_str().unwrap(), "--format", "jsonl", "--progress", "never"])
        .args(flags);
    (program, scratch)
}

/// A comparison would take a busy server's last capacity from its users.
#[test]
fn a_server_with_too_many_active_sessions_is_waited_for() {
    let (source, target) = own_pair();
    let busy: Vec<Session> =
        (0..3).map(|_| Session::busy(&target, "select pg_sleep(600)")).collect();
    let spec = format!("[pace]\nmax_active_sessions = 2\n{MAPPING}");
    let (program, _scratch) = between(&source, &target, &spec, &["-vv", "--settle", "0s"]);
    let mut running = program.start();
    running.await_line("throttled period=0 waits=true");
    target.sql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(600)'");
    let outcome = running.finish();
    drop(busy);
    outcome.balances().exits(0);
    let (reason, millis) = waited(&outcome);
    let before = outcome.stderr.split("no longer throttled").next().unwrap();
    assert!(!before.contains("chunk started"), "{before}");
    assert_eq!(reason, "3 sessions are active on the target, 2 are allowed");
    assert!(millis > 0);
}

/// A run beside others would take all that it can get instead of a share; a limit for active
/// sessions gives it full speed up to the limit. The sessions outlive the test, so they are on
/// servers of its own.
#[test]
fn a_run_pauses_for_other_sessions_unless_a_limit_is_set() {
    let (source, target) = own_pair();
    let busy: Vec<Session> =
        (0..4).map(|_| Session::busy(&source, "begin; select pg_sleep(600)")).collect();
    let flags = ["--chunk-rows", "100", "--jobs", "1", "--settle", "0s"];
    let compare = |spec: &str| {
        let (program, _scratch) = between(&source, &target, spec, &flags);
        program.run()
    };
    let outcome = compare(&slow(0.5));
    outcome.balances().exits(0);
    let told = paced(&outcome);
    assert!(told["rested_ms"].as_u64().unwrap() > 0, "{told}");
    assert_eq!((&told["waited_ms"], &told["reasons"]), (&0.into(), &serde_json::json!([])));
    let limited = format!("[pace]\nmax_active_sessions = 1000\n{}", slow(0.5));
    let outcome = compare(&limited);
    outcome.balances().exits(0);
    assert_eq!(paced(&outcome), Value::Null);
    drop(busy);
}

/// A run would use full speed beside `pgbench`, and take up to a third of its throughput, as it
/// once did: an application under full load is seldom active at the moment of a measurement. A
/// session that runs no statements, with a transaction open or not, is not at work.
#[test]
fn a_session_between_two_statements_is_at_work() {
    let (source, target) = own_pair();
    let compare = || {
        let flags = ["--chunk-rows", "100", "--jobs", "1", "--settle", "0s"];
        let (program, _scratch) = between(&source, &target, &slow(1.0), &flags);
        let outcome = program.run();
        outcome.balances().exits(0);
        paced(&outcome)
    };
    let left_open = Session::told(&target, "begin;\nselect 1;\n");
    let settled = "select count(*) from pg_stat_activity where state = 'idle in transaction'
        and state_change < clock_timestamp() - interval '1 second'";
    target.await_answer("postgres", settled, "1");
    assert_eq!(compare(), Value::Null);
    let works = [(); 2].map(|()| Session::told(&target, "select 1 \\watch 0.002\n"));
    let at_work = "select count(*) from pg_stat_activity where state = 'idle'
        and state_change > clock_timestamp() - interval '10 milliseconds'";
    target.await_answer("postgres", at_work, "2");
    let told = compare();
    assert!(told["rested_ms"].as_u64().unwrap() > 4_000, "{told}");
    drop((left_open, works));
}

/// Each row that was changed on both sides would be confirmed as different without a limit of lag
/// below `settle`: rows that a standby has yet to replay do not change while it lags.
#[test]
fn a_standby_with_20_seconds_of_lag_is_waited_for() {
    let (source, primary) = own_pair();
    let standby = primary.standby(Settings("recovery_min_apply_delay = '20s'"));
    for cluster in [&source, &primary] {
        cluster.sql("postgres", "update t set v = 'changed on both' where id % 100 = 0");
    }
    let careless = format!("[pace]\nmax_replica_lag = \"1h\"\n{MAPPING}");
    let (program, _scratch) = between(&source, &standby, &careless, &["--settle", "1s"]);
    let outcome = program.run();
    assert_eq!(outcome.findings().len(), 20, "this is what it is waited for");
    assert!(outcome.stderr.contains("let \"settle\" be longer"), "{}", outcome.stderr);
    let (program, _scratch) = between(&source, &standby, MAPPING, &["--settle", "4s", "-v"]);
    let outcome = program.run();
    assert_eq!(outcome.findings(), Vec::<String>::new());
    outcome.balances().exits(0);
    let (reason, millis) = waited(&outcome);
    assert!(reason.contains("on the target, 2.0 s are allowed"), "{reason}");
    assert!((5_000..60_000).contains(&millis), "{millis}");
}

/// The last measurement would be taken for current: a primary continues to report it for a standby
/// that has stopped.
#[test]
fn a_primary_whose_standby_has_stopped_is_waited_for() {
    let (source, primary) = own_pair();
    let standby = primary.standby(Settings("hot_standby = on"));
    let spec = format!("[pace]\nmax_replica_lag = \"2s\"\n{}", slow(2.0));
    let flags = ["--settle", "0s", "-vv", "--chunk-rows", "10", "--jobs", "1"];
    let (program, _scratch) = between(&primary, &source, &spec, &flags);
    let mut running = program.start();
    running.await_line("chunk=2 ");
    standby.sql("postgres", "select pg_wal_replay_pause()");
    // Another session writes all the time, as a standby replies after writes.
    let writer = Session::busy(
        &primary,
        "do $$ begin loop perform pg_logical_emit_message(true, 'a', 'b'); commit; perform pg_sleep(0.05); end loop; end $$",
    );
    running.await_line("waits=true");
    standby.sql("postgres", "select pg_wal_replay_resume()");
    running.await_line("no longer throttled");
    drop(writer);
    let outcome = running.finish();
    outcome.balances().exits(0);
    let paced = paced(&outcome);
    let reasons = paced["reasons"].to_string();
    assert!(reasons.contains("on the source, 2.0 s are allowed"), "{reasons}");
    assert!(paced["replica_lag_ms"].as_u64().unwrap() > 2_000, "{paced}");
}

/// Rows would be reported as different: a standby cancels queries that conflict with its replay.
/// The chunk is read again in smaller ones.
#[test]
fn a_conflict_with_recovery_costs_a_chunk_no_more_than_time() {
    let (source, primary) = own_pair();
    let standby = primary.standby(Settings(
        "max_standby_streaming_delay = 0\nhot_standby_feedback = off\nwal_receiver_status_interval = 1s",
    ));
    let spec = format!("[pace]\nmax_replica_lag = \"30s\"\n{}", slow(0.5));
    let flags = ["--settle", "0s", "-vv", "--jobs", "1", "--strategy", "digest"];
    let (program, _scratch) = between(&standby, &source, &spec, &flags);
    let mut running = program.start();
    running.await_line("chunk=0");
    // The snapshot of the current chunk sees rows that are removed now.
    primary.sql(
        "postgres",
        "create table gone as select generate_series(1, 1000); delete from gone; vacuum gone",
    );
    let conflicts = "select sum(confl_snapshot) from pg_stat_database_conflicts";
    let outcome = running.finish();
    outcome.balances().exits(0);
    assert_eq!(outcome.findings(), Vec::<String>::new());
    assert_eq!(outcome.mapping()["rows"]["source"], 2_000);
    assert_ne!(
        standby.sql("postgres", conflicts),
        "0",
        "there was no conflict:\n{}",
        outcome.stderr
    );
}

/// All 7,000 rows at 1 ms and more a row would be one chunk that holds its snapshot for 7 s.
#[test]
fn no_transaction_is_open_for_longer_than_five_seconds() {
    let pair = Pair::new(&table(7_000), &table(7_000));
    let spec = format!("[pace]\nmax_active_sessions = 1000\n{}", slow(1.0));
    let running = monitoring(&pair, &spec, &["--strategy", "digest"]).start();
    let (outcome, seen) = watch_transactions(&pair, running);
    outcome.balances().exits(0);
    let told = &outcome.records("summary")[0]["longest_transaction_ms"];
    assert!(told.as_u64().unwrap() <= 5_000, "{told}");
    assert!(seen <= 5.0, "{seen} s");
    assert!(seen > 0.2, "{seen} s: nothing was seen");
}

/// Waits for the end. Returns the age of the oldest transaction that the source's server saw.
fn watch_transactions(pair: &Pair, running: Running) -> (Outcome, f64) {
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let ages = format!(
        "select coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0) from pg_stat_activity
         where application_name = 'pgreconcile/test' and datname = '{}'",
        pair.database
    );
    let cluster = &pair.clusters.source;
    std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let mut oldest: f64 = 0.0;
            while is_over.recv_timeout(Duration::from_millis(50)).is_err() {
                oldest = oldest.max(cluster.sql("postgres", &ages).parse().expect("an age"));
            }
            oldest
        });
        let outcome = running.finish();
        over.send(()).unwrap();
        (outcome, watcher.join().unwrap())
    })
}
