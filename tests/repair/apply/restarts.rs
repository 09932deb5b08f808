//! Where `apply` continues: when it is started again it continues after the last batch that it has
//! applied, whatever the application has written meanwhile.

use pgreconcile::schema::Side;

use crate::support::psql_session::PsqlSession;
use crate::support::psql_session::await_blocked;
use crate::support::round_trip::{ALL, RoundTrip, same};
use crate::support::wait;
use crate::support::{Fate, Outcome, Proxy, Running};

const TABLE: &str = "create table t (id int primary key, name text, note text);";
const RECORD: &str = "r/applied.jsonl";

/// So many rows whose name differs, in batches of two.
fn round(rows: u32) -> RoundTrip {
    let create = |name: &str| {
        format!("{TABLE} insert into t select n, '{name}' || n from generate_series(1, {rows}) n;")
    };
    let spec = format!("{}target.ignore = ['note']\nsource.ignore = ['note']\n", same("public.t"));
    let round = RoundTrip::new(&create("new"), &create("old"), &spec);
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &["--batch", "2"]).exits(0);
    round
}

fn start(round: &RoundTrip) -> Running {
    round.program().args(&["apply", "spec.toml", "r", "--execute"]).start()
}

fn names(round: &RoundTrip) -> String {
    round.pair.sql(Side::Target, "select string_agg(name, ' ' order by id) from t")
}

/// Kills it at a batch that waits for this row, with the others before it applied.
fn killed_at(round: &RoundTrip, id: u32) {
    let mut writer = PsqlSession::open(round);
    assert!(writer.run(&format!("begin; update t set note = 'held' where id = {id};\n")));
    let running = start(round);
    await_blocked(round);
    running.signal("KILL");
    let _ = running.finish();
    assert!(writer.run("rollback;\n"));
}

/// Waits until no batch is running any more.
fn await_quiet(round: &RoundTrip) {
    let open = "select count(*) from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and application_name like 'pgreconcile%' and xact_start is not null";
    round.pair.clusters.target.await_answer(&round.pair.database, open, "0");
}

fn said(outcome: &Outcome) -> String {
    format!("{}{}", outcome.stdout, outcome.stderr)
}

/// The first batch would be refused without a record, and the rest would never be reached.
#[test]
fn rows_that_changed_after_their_batch_do_not_stop_a_restart() {
    let round = round(10);
    killed_at(&round, 5);
    assert_eq!(names(&round), "new1 new2 new3 new4 old5 old6 old7 old8 old9 old10");
    // Both rows of batch 1 change in the target only; of batch 2 one row changes on both sides, and
    // one is deleted on both.
    round.pair.sql(Side::Target, "update t set name = 'app' where id < 3");
    for side in Side::BOTH {
        round.pair.sql(side, "update t set name = 'both' where id = 3; delete from t where id = 4");
    }
    let told = round.apply("r", &[]);
    let before = "applied before: 4 of 10 rows, through batch 2 of 001-t-update.sql";
    assert!(told.exits(0).stdout.contains(before), "{}", told.stdout);
    let outcome = round.apply("r", &["--execute"]);
    assert_eq!(names(&round), "app app both new5 new6 new7 new8 new9 new10");
    let told = said(outcome.exits(1));
    assert!(told.contains("001-t-update.sql: applied, 10 rows, 4 of them before"), "{told}");
    assert!(told.contains("applied: 10 rows, of which 8 agree now"), "{told}");
    assert!(told.contains("2 batches were applied before and not again"), "{told}");
    assert!(told.contains("hint: ") && told.contains("applied.jsonl"), "{told}");
    // A second call finds nothing left to do.
    let state = round.state(true);
    let _ = round.apply("r", &["--execute"]).exits(1);
    assert_eq!(round.state(true), state);
}

/// An application's writes would be overwritten: it changes whatever a batch has written, while
/// `apply` is killed again and again.
#[test]
fn beside_a_writer_every_batch_is_applied_and_none_twice() {
    let table = "create table t (id int primary key, name text);
        create table audit (id int, at xid8 default pg_current_xact_id());
        create function audit() returns trigger language plpgsql as $$ begin
            if new.name like 'new%' then insert into audit values (new.id); end if; return new; end $$;
        create trigger audit after update on t for each row execute function audit();";
    let fill = |name: &str| {
        format!("{table} insert into t select n, '{name}' || n from generate_series(1, 300) n;")
    };
    let round = RoundTrip::new(&fill("new"), &fill("old"), &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &["--batch", "3"]).exits(0);
    round.pair.sql(
        Side::Target,
        "create procedure live() language plpgsql as $$ begin
         while to_regclass('ended') is null loop
             update t set name = 'app' || id where name like 'new%' and id % 3 > 0; commit;
         end loop; end $$;",
    );
    let mut writer = PsqlSession::open(&round);
    writer.send("call live();\n");
    let applied =
        || -> u32 { round.pair.sql(Side::Target, "select count(*) from audit").parse().unwrap() };
    for killed in 1..=6 {
        let running = start(&round);
        wait::until("40 rows more", || applied() >= killed * 40);
        running.signal("KILL");
        let _ = running.finish();
    }
    let last = round.apply("r", &["--execute"]);
    let told = said(last.exits(1));
    assert!(told.contains("applied: 300 rows"), "{told}");
    round.pair.sql(Side::Target, "create table ended ()");
    assert!(writer.run("select 1;\n"));
    let each = "select count(*) || ' ' || count(distinct id) from audit";
    assert_eq!(round.pair.sql(Side::Target, each), "300 300");
    assert_eq!(round.pair.sql(Side::Target, "select count(*) from t where name like 'old%'"), "0");
}

/// A batch would be applied twice or left out. The network stops at a place of the conversation,
/// `apply` is killed there, and the application changes every row that was written by then: between
/// the record and the COMMIT, and behind it too.
#[test]
fn every_batch_is_known_to_be_committed_or_not() {
    let round = round(4);
    let first = round.state(false);
    let proxied = |proxy: &Proxy| {
        let url = proxy.url(&round.pair.database).replace("reader", "postgres");
        round.program().env("TARGET_URL", &url).args(&["apply", "spec.toml", "r", "--execute"])
    };
    let again = || {
        std::fs::remove_file(round.path(RECORD)).unwrap_or_default();
        round.pair.sql(Side::Target, "update t set name = 'old' || id");
        assert_eq!(round.state(false), first);
    };
    let proxy = Proxy::start(&round.pair.clusters.target, |_| Fate::Pass);
    let _ = proxied(&proxy).run().exits(0);
    let talks = (0..proxy.connections()).map(|connection| (connection, proxy.received(connection)));
    let (connection, (_, messages)) = talks.max_by_key(|(_, (bytes, _))| *bytes).unwrap();
    // Only a batch contains DO. Before the answer to its COMMIT nothing is committed; after its
    // first byte everything is, and the client has no information about it.
    let work = proxy.messages_with(connection, "DO\0");
    let (begin, end) = (*work.first().unwrap(), *work.last().unwrap());
    let commits = proxy.messages_with(connection, "COMMIT\0");
    let (before, after): (Vec<usize>, Vec<usize>) = commits.iter().partition(|at| **at < end);
    let commits = before.into_iter().chain(after.first().copied()).filter(|at| *at > begin);
    let mut places: Vec<usize> = commits.flat_map(|at| [at, at + 1]).collect();
    assert_eq!(places.len(), 4);
    places.extend(messages.iter().filter(|at| **at > begin && **at < end).step_by(7));
    again();
    let mut doubts = 0;
    for at in places {
        let proxy = Proxy::start(&round.pair.clusters.target, move |number| {
            if number == connection { Fate::Silent { after: at } } else { Fate::Pass }
        });
        let running = proxied(&proxy).start();
        wait::until(&format!("{at} bytes"), || proxy.has_received(connection, at));
        running.signal("KILL");
        let _ = running.finish();
        drop(proxy);
        await_quiet(&round);
        let record = std::fs::read_to_string(round.path(RECORD)).unwrap_or_default();
        doubts += u32::from(
            record.lines().last().is_some_and(|last| last.contains("\"committed\":false")),
        );
        round
            .pair
            .sql(Side::Target, "update t set name = 'app' where name like 'new%' and id % 2 = 0");
        let changed = round.pair.sql(Side::Target, "select count(*) from t where name = 'app'");
        let outcome = round.apply("r", &["--execute"]);
        let told = said(&outcome);
        let expected = i32::from(changed != "0");
        assert_eq!(outcome.code, expected, "killed at {at}: {told}");
        let left = "select count(*) from t where name like 'old%'";
        assert_eq!(round.pair.sql(Side::Target, left), "0", "killed at {at}: {told}");
        again();
    }
    assert!(doubts >= 2, "never killed in between: {doubts}");
}

/// The same while `apply` is alive: it cannot determine whether its COMMIT arrived, and queries it.
#[test]
fn a_connection_that_breaks_at_the_commit_leaves_no_doubt() {
    let holds = "create function hold() returns trigger language plpgsql as $$ begin
            perform pg_advisory_xact_lock(1); return new; end $$;
        create trigger hold after update of name on t for each row when (new.name like 'new%')
            execute function hold();";
    let spec = same("public.t");
    let fill = |name: &str| format!("{TABLE} insert into t values (1, '{name}'); {holds}");
    let round = RoundTrip::new(&fill("new"), &fill("old"), &spec);
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    let proxied = |proxy: &Proxy| {
        let url = proxy.url(&round.pair.database).replace("reader", "postgres");
        round.program().env("TARGET_URL", &url).args(&["apply", "spec.toml", "r", "--execute"])
    };
    let proxy = Proxy::start(&round.pair.clusters.target, |_| Fate::Pass);
    let _ = proxied(&proxy).run().exits(0);
    let talks =
        (0..proxy.connections()).map(|connection| (connection, proxy.received(connection).0));
    let (connection, _) = talks.max_by_key(|(_, bytes)| *bytes).unwrap();
    let last = *proxy.messages_with(connection, "DO\0").last().unwrap();
    let commit =
        proxy.messages_with(connection, "COMMIT\0").into_iter().find(|at| *at > last).unwrap();
    std::fs::remove_file(round.path(RECORD)).unwrap();
    round.pair.sql(Side::Target, "update t set name = 'old'");
    let proxy = Proxy::start(&round.pair.clusters.target, move |number| {
        if number == connection { Fate::Cut { after: commit + 1, reset: true } } else { Fate::Pass }
    });
    let mut holder = PsqlSession::open(&round);
    assert!(holder.run("select pg_advisory_lock(1);\n"));
    let running = proxied(&proxy).start();
    await_blocked(&round);
    // It arrives right after the COMMIT, and before the next attempt.
    let mut writer = PsqlSession::open(&round);
    writer.send("update t set name = 'app' where id = 1;\n");
    let waiting = "select count(*) from pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock'";
    wait::until("two sessions wait", || round.pair.sql(Side::Target, waiting) == "2");
    assert!(holder.run("select pg_advisory_unlock(1);\n"));
    let told = said(running.finish().exits(1));
    assert!(told.contains("applied: 1 row, of which 0 agree now"), "{told}");
    assert_eq!(names(&round), "app");
}

#[test]
fn what_was_undone_can_be_applied_again() {
    let round = round(6);
    let first = round.state(false);
    let _ = round.apply("r", &["--execute"]).exits(0);
    let done = round.state(true);
    let again = round.apply("r", &["--execute"]);
    assert!(said(again.exits(0)).contains("applied, 6 rows, 6 of them before"), "{}", again.stderr);
    assert_eq!(round.state(true), done);
    round.run_all("r", ".undo.sql");
    assert_eq!(round.state(false), first);
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(names(&round), "new1 new2 new3 new4 new5 new6");
    // The same for a part of it, and for an apply that was killed.
    round.run_all("r", ".undo.sql");
    std::fs::remove_file(round.path(RECORD)).unwrap();
    killed_at(&round, 5);
    round.pair.sql(Side::Target, "update t set name = 'old' || id where id < 3");
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(names(&round), "new1 new2 new3 new4 new5 new6");
}

/// A refused batch would be reported as applied: after an undo it has to be applied again, and a
/// refusal does not show that there was nothing to do.
#[test]
fn a_batch_that_was_undone_and_is_refused_now_stops_there() {
    let table = "create table t (id int primary key, name text);";
    let source = format!("{table} insert into t values (1, 'a'), (2, 'b'), (3, 'c')");
    let target = format!("{table} insert into t values (3, 'old'), (4, 'd')");
    let body = |does: &str| {
        format!(
            "create or replace function f() returns trigger language plpgsql as $$ begin {does} return new; end $$;"
        )
    };
    let create = format!(
        "{}; create trigger f before insert on t for each row execute function f()",
        body("")
    );
    for (since, why) in [
        ("alter table t add check (id <> 1)", "SQLSTATE 23514"),
        // The guard that also detects later writes of the application.
        (&body("new.name := 'rewritten';"), "not as intended"),
    ] {
        let round = RoundTrip::new(&source, &format!("{target}; {create}"), &same("public.t"));
        let _ = round.compare().exits(1);
        let _ = round.repair("r", &ALL).exits(0);
        let _ = round.apply("r", &["--execute"]).exits(0);
        round.run_all("r", ".undo.sql");
        round.pair.sql(Side::Target, since);
        let before = round.state(true);
        let outcome = round.apply("r", &["--execute"]);
        let told = said(outcome.exits(1));
        assert!(told.contains("batch 1 of 001-t-insert.sql was refused: "), "{told}");
        assert!(told.contains(why) && !told.contains(": applied, "), "{told}");
        assert_eq!(round.state(true), before, "{since}");
    }
}

/// A row that was inserted and has since been deleted on both sides would be inserted again.
#[test]
fn rows_that_went_after_their_batch_do_not_come_back() {
    let source = format!("{TABLE} insert into t select n, 'v' || n from generate_series(1, 6) n;");
    let round = RoundTrip::new(&source, TABLE, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &["--batch", "2"]).exits(0);
    let _ = round.apply("r", &["--execute"]).exits(0);
    for side in Side::BOTH {
        round.pair.sql(side, "delete from t where id in (1, 2, 3)");
    }
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(names(&round), "v4 v5 v6");
}

#[test]
fn a_record_is_believed_only_of_its_own_repair() {
    let round = round(4);
    killed_at(&round, 3);
    let path = round.path(RECORD);
    let mode = std::fs::metadata(&path).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    let record = std::fs::read_to_string(&path).unwrap();
    let refused = |why: &str| {
        let state = round.state(true);
        for flags in [&[][..], &["--execute"]] {
            let outcome = round.apply("r", flags);
            assert!(outcome.exits(2).stderr.contains(why), "{}", outcome.stderr);
        }
        assert_eq!(round.state(true), state);
    };
    // A truncated line is ignored; what follows it counts.
    let torn = record.replace("{\"part\":1,\"batch\":1", "{\"pa\n{\"part\":1,\"batch\":1");
    std::fs::write(&path, format!("{torn}{{\"part\":1,\"bat")).unwrap();
    let told = round.apply("r", &[]);
    assert!(told.exits(0).stdout.contains("applied before: 2 of 4 rows"), "{}", told.stdout);
    for foreign in
        ["", "{\"version\":1}\n", &record.replacen("\"manifest\":\"", "\"manifest\":\"0", 1)]
    {
        std::fs::write(&path, foreign).unwrap();
        refused("applied.jsonl is not the record of this repair");
    }
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(round.path("elsewhere"), &path).unwrap();
    refused("applied.jsonl is a symbolic link");
    assert!(!round.path("elsewhere").exists());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &torn).unwrap();
    let _ = round.apply("r", &["--execute"]).exits(0);
    // After a truncated line a new one starts.
    let record = std::fs::read_to_string(&path).unwrap();
    assert!(
        record.lines().filter(|line| line.starts_with("{\"part\":1,\"batch\":2")).count() >= 2,
        "{record}"
    );
}

/// A reviewed folder on a read-only medium could not be applied.
#[test]
fn without_a_record_apply_warns_and_continues() {
    let round = round(4);
    let url = |side: Side| round.pair.clusters[side].url("postgres", &round.pair.database);
    // Files can be created but not written, not even by root.
    let command = format!(
        "trap '' XFSZ; ulimit -f 0; exec {} apply spec.toml r --execute --ledger off",
        env!("CARGO_BIN_EXE_pgreconcile")
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(round.pair.scratch.path())
        .env("SOURCE_URL", url(Side::Source))
        .env("TARGET_URL", url(Side::Target))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("warning: ") && told.contains("applied.jsonl"), "{told}");
    assert!(told.contains("hint: Started again it would run every batch again"), "{told}");
    assert_eq!(names(&round), "new1 new2 new3 new4");
    assert!(!round.path(RECORD).exists());
}
