//! Repairs beside an application that continues to write, and repairs that are interrupted.

use std::process::Command;

use pgreconcile::schema::Side;

use crate::support::psql_session::PsqlSession;
use crate::support::psql_session::await_blocked;
use crate::support::round_trip::{ALL, RoundTrip, same};
use crate::support::wait;
use crate::support::{Fate, Proxy, cluster, fault};

const TABLE: &str = "create table t (id int primary key, name text, note text default 'n');";

fn round() -> RoundTrip {
    let source = format!("{TABLE} insert into t values (1,'a'),(2,'b'),(3,'c');");
    let target = format!("{TABLE} insert into t values (1,'x'),(2,'y'),(9,'z');");
    let spec = format!("{}target.ignore = ['note']\nsource.ignore = ['note']\n", same("public.t"));
    let round = RoundTrip::new(&source, &target, &spec);
    let _ = round.compare().exits(1);
    round
}

fn start(round: &RoundTrip, script: &std::path::Path) -> std::process::Child {
    let target = &round.pair.clusters.target;
    Command::new(cluster::binaries().join("psql"))
        .args(["-X", "-q", "-h"])
        .arg(target.socket())
        .args(["-p", &target.port.to_string(), "-U", "postgres", "-d", &round.pair.database, "-f"])
        .arg(script)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_script_waits_for_a_writer_and_then_rechecks() {
    for (writes, ends, refused) in [
        ("update t set name = 'now' where id = 2", "commit", true),
        ("delete from t where id = 1", "commit", true),
        ("update t set name = 'now' where id = 2", "rollback", false),
        // A column that is not compared does not matter here.
        ("update t set note = 'now' where id = 2", "commit", false),
    ] {
        let round = round();
        let _ = round.repair("r", &["--kinds", "update"]).exits(0);
        let script = round.scripts("r", ".sql").remove(0);
        let mut writer = PsqlSession::open(&round);
        assert!(writer.run(&format!("begin; {writes};\n")));
        let running = start(&round, &script);
        await_blocked(&round);
        assert!(writer.run(&format!("{ends};\n")));
        let before = round.state(true);
        let output = running.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(if refused { 3 } else { 0 }), "{writes}: {told}");
        if refused {
            assert_eq!(round.state(true), before, "{writes}");
        } else {
            let names = "select string_agg(name || note, ' ' order by id) from t where id < 3";
            let note = if writes.contains("note") { "an bnow" } else { "an bn" };
            assert_eq!(round.pair.sql(Side::Target, names), note);
        }
    }
}

#[test]
fn a_lock_that_stays_ends_a_script_and_changes_nothing() {
    let round = round();
    let _ = round.repair("r", &ALL).exits(0);
    for holds in
        ["update t set note = 'held' where id in (1, 9)", "lock table t in access exclusive mode"]
    {
        let mut writer = PsqlSession::open(&round);
        assert!(writer.run(&format!("begin; {holds};\n")));
        let update = round.scripts("r", ".sql").remove(1);
        let said = round.psql(&update);
        assert!(said.code == 3 && said.stderr.contains("lock"), "{}", said.stderr);
        assert!(writer.run("rollback;\n"));
    }
    // `apply` tries again, and succeeds when the lock is released.
    let mut writer = PsqlSession::open(&round);
    assert!(writer.run("begin; update t set note = 'held' where id in (1, 9);\n"));
    let spec = round.spec.to_str().unwrap();
    let running = round.program().args(&["apply", spec, "r", "--execute"]).start();
    await_blocked(&round);
    assert!(writer.run("rollback;\n"));
    let _ = running.finish().exits(0);
    let _ = round.compare().exits(0);
}

/// `apply` or the writer could be chosen to break a deadlock: the writer takes rows against the
/// order of the key, while eight applies take them in that order.
#[test]
fn writers_in_the_opposite_order_never_end_in_a_deadlock() {
    let table = "create table t (id int primary key, v int, seen int default 0);";
    let source = format!("{table} insert into t select n, n from generate_series(1, 2000) n;");
    let target = format!("{table} insert into t select n, -n from generate_series(1, 2000) n;");
    let spec = format!("{}target.ignore = ['seen']\nsource.ignore = ['seen']\n", same("public.t"));
    let round = RoundTrip::new(&source, &target, &spec);
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &["--batch", "100"]).exits(0);
    round.pair.sql(
        Side::Target,
        "create procedure backwards(rounds int) language plpgsql as $$ declare n int; begin
         for n in 1..rounds loop
             for i in reverse 40..1 loop update t set seen = seen + 1 where id = (n * 37 + i * 11) % 2000 + 1; end loop;
             commit;
         end loop; end $$;",
    );
    let mut writers: Vec<PsqlSession> = (0..3).map(|_| PsqlSession::open(&round)).collect();
    writers
        .iter_mut()
        .for_each(|writer| writer.send("\\set ON_ERROR_STOP on\ncall backwards(300);\n"));
    let spec = round.spec.to_str().unwrap();
    let start = |_| round.program().args(&["apply", spec, "r", "--execute"]).start();
    let running: Vec<_> = (0..8).map(start).collect();
    for running in running {
        let _ = running.finish().exits(0);
    }
    for writer in &mut writers {
        assert!(writer.run("select 1;\n"), "a writer was thrown out");
    }
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(round.pair.sql(Side::Target, deadlocks), "0");
    // A row that the writer updates three times in a round counts three times: each of its updates
    // is kept.
    assert_eq!(round.pair.sql(Side::Target, "select sum(seen) from t"), (3 * 300 * 40).to_string());
    let _ = round.compare().exits(0);
    fault::DEADLOCK.tried(writers.len() * 300);
}

/// Half a batch would remain, or an applied batch would be applied twice.
#[test]
fn an_interrupted_apply_stops_between_batches_and_resumes() {
    let round = round();
    let _ = round.repair("r", &[&ALL[..], &["--batch", "1"]].concat()).exits(0);
    let mut writer = PsqlSession::open(&round);
    assert!(writer.run("begin; update t set note = 'held' where id = 1;\n"));
    let spec = round.spec.to_str().unwrap();
    let running = round.program().args(&["apply", spec, "r", "--execute"]).start();
    await_blocked(&round);
    running.signal("INT");
    let outcome = running.finish();
    assert!(outcome.exits(3).stderr.contains("interrupted"), "{}", outcome.stderr);
    assert!(writer.run("rollback;\n"));
    let state = "select string_agg(id || name, ' ' order by id) from t";
    assert_eq!(round.pair.sql(Side::Target, state), "1x 2y 3c 9z");
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(round.pair.sql(Side::Target, state), "1a 2b 3c");
}

/// Half a script would remain after psql is killed. It is killed after each statement of a script
/// and of its undo: until the commit nothing is stored, and the script runs again to the same
/// result.
#[test]
fn a_script_killed_between_two_statements_changes_nothing() {
    let round = round();
    let _ = round.repair("r", &ALL).exits(0);
    let first = round.state(false);
    let mut kills = 0;
    for end in [".sql", ".undo.sql"] {
        for script in round.scripts("r", end) {
            let text = std::fs::read_to_string(&script).unwrap();
            let commit = text.find("COMMIT;\n").unwrap();
            let before = round.state(true);
            // A semicolon between dollar quotes ends no statement.
            let outside = |at: &usize| text[..*at].matches("$pgr$").count() % 2 == 0;
            let ends = text.match_indices(";\n").map(|(at, _)| at + 2).filter(outside);
            let mut cuts = 0;
            for at in ends.filter(|at| *at <= commit) {
                let mut session = PsqlSession::open(&round);
                session.run(&text[..at]);
                session.kill();
                cuts += 1;
            }
            assert!(cuts > 20, "{cuts}");
            kills += cuts;
            assert_eq!(round.state(true), before);
            assert_eq!(round.psql(&script).code, 0);
        }
        let _ = round.compare().exits(if end == ".sql" { 0 } else { 1 });
    }
    assert_eq!(round.state(false), first);
    fault::SCRIPT_KILLED.tried(kills);
}

/// Returns where each message of the server to `apply` started, from the first write on.
fn talk(round: &RoundTrip) -> (usize, Vec<usize>) {
    let proxy = Proxy::start(&round.pair.clusters.target, |_| Fate::Pass);
    let _ = apply_through(round, &proxy).run().exits(0);
    let talks = (0..proxy.connections()).map(|connection| (connection, proxy.received(connection)));
    let longest = talks.max_by_key(|(_, (bytes, _))| *bytes).unwrap();
    (longest.0, longest.1.1)
}

fn apply_through(round: &RoundTrip, proxy: &Proxy) -> crate::support::Program {
    let url = proxy.url(&round.pair.database).replace("reader", "postgres");
    round.program().env("TARGET_URL", &url).args(&["apply", "spec.toml", "r", "--execute"])
}

fn back(round: &RoundTrip) {
    for script in round.scripts("r", ".undo.sql") {
        assert_eq!(round.psql(&script).code, 0);
    }
}

/// A lost connection would end a repair, or leave in doubt whether a batch was committed.
#[test]
fn apply_reconnects_wherever_its_connection_breaks() {
    let round = round();
    let _ = round.repair("r", &ALL).exits(0);
    let first = round.state(false);
    let (connection, messages) = talk(&round);
    let done = round.state(false);
    back(&round);
    let mut cuts = 0;
    for at in messages.iter().step_by(messages.len() / 40) {
        cuts += 1;
        let (at, reset) = (*at, at % 2 == 0);
        let proxy = Proxy::start(&round.pair.clusters.target, move |number| {
            if number == connection { Fate::Cut { after: at, reset } } else { Fate::Pass }
        });
        let outcome = apply_through(&round, &proxy).run();
        // A connection that broke before the first batch is an error; nothing was changed then.
        if outcome.code == 2 {
            assert_eq!(round.state(false), first, "cut at {at}");
            continue;
        }
        let _ = outcome.exits(0);
        assert_eq!(round.state(false), done, "cut at {at}");
        back(&round);
        assert_eq!(round.state(false), first);
    }
    fault::APPLY_CUT.tried(cuts);
}

/// The network stops at a place of the conversation, and `apply` is killed there.
#[test]
fn a_killed_apply_can_be_started_again() {
    let round = round();
    let _ = round.repair("r", &ALL).exits(0);
    let first = round.state(false);
    let (connection, messages) = talk(&round);
    let done = round.state(false);
    back(&round);
    let mut kills = 0;
    for at in messages.iter().step_by(messages.len() / 40) {
        let at = *at;
        let proxy = Proxy::start(&round.pair.clusters.target, move |number| {
            if number == connection { Fate::Silent { after: at } } else { Fate::Pass }
        });
        let running = apply_through(&round, &proxy).start();
        wait::until(&format!("{at} bytes"), || proxy.has_received(connection, at));
        running.signal("KILL");
        kills += 1;
        let _ = running.finish();
        drop(proxy);
        let _ = round.apply("r", &["--execute"]).exits(0);
        assert_eq!(round.state(false), done, "killed at {at}");
        back(&round);
        assert_eq!(round.state(false), first);
    }
    fault::APPLY_KILLED.tried(kills);
}
