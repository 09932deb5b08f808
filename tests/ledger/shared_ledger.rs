//! A ledger in PostgreSQL, which many machines share: it stores what a file does, through a pooler
//! too, and a lease prevents two simultaneous runs of a spec.

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::ledger_database::LedgerDatabase;
use crate::support::report::diverged;
use crate::support::{Bouncer, MAPPING, Outcome, Pair, Program, refused};

/// A call that uses this ledger.
fn remembered(program: Program, ledger: &str) -> Program {
    program.env("PGRECONCILE_LEDGER", ledger)
}

fn verb(pair: &Pair, ledger: &str, args: &[&str]) -> Outcome {
    remembered(pair.program(), ledger).args(args).run()
}

/// Returns each finding's key, and the number of runs that found it.
fn runs(outcome: &Outcome) -> Vec<(String, u64)> {
    let told = outcome.records("finding");
    let told = told.iter();
    let told = told.map(|told| (told["key"]["id"].to_string(), told["runs"].as_u64().unwrap()));
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[test]
fn a_shared_ledger_stores_what_a_file_does() {
    let (pair, keeper) = (diverged(), LedgerDatabase::new());
    let spec =
        pair.spec(&format!("{MAPPING}[mapping.columns]\nv = {{ from = \"v\", redact = true }}\n"));
    let spec_name = spec.to_str().unwrap();
    let mut told = Vec::new();
    for ledger in [keeper.url(), "file.db".to_owned()] {
        let compare = || remembered(pair.comparing(&spec, &[]), &ledger).run();
        let first = compare();
        assert_eq!(runs(first.exits(1)).iter().map(|(_, runs)| *runs).max(), Some(1));
        pair.sql(
            Side::Target,
            "insert into t values (4, 'v4', 4); update t set v = 'x' where id = 2",
        );
        let second = compare();
        pair.sql(Side::Target, "delete from t where id = 4; update t set v = 'v2' where id = 2");
        let third = compare();
        let history = verb(&pair, &ledger, &["history", spec_name, "--format", "json"]);
        let mut history: Value = serde_json::from_str(&history.exits(0).stdout).unwrap();
        for run in history["runs"].as_array_mut().unwrap() {
            for name in ["run", "started_at", "clocks", "summary"] {
                run[name] = Value::Null;
            }
        }
        history["verified"][0]["since"] = Value::Null;
        let report = verb(&pair, &ledger, &["report", spec_name, "--format", "jsonl"]);
        assert_eq!(report.exits(0).findings(), third.findings());
        let recheck =
            verb(&pair, &ledger, &["recheck", spec_name, "--settle", "0s", "--format", "jsonl"]);
        assert_eq!(recheck.exits(1).findings(), third.findings());
        let gate = verb(&pair, &ledger, &["gate", spec_name]);
        assert!(gate.exits(1).stdout.contains("closed"), "{}", gate.stdout);
        told.push((runs(&first), runs(&second), runs(&third), history.to_string()));
    }
    assert_eq!(told[0], told[1]);
    // It stores values as the outputs show them; data that only this run needed is deleted.
    let kept = keeper.sql(
        "select count(*), count(*) filter (where record like '%v2%') from pgreconcile.finding",
    );
    assert!(kept.trim().ends_with("|0") && !kept.starts_with("0|"), "{kept}");
    assert_eq!(keeper.sql("select count(*) from pgreconcile.chunk").trim(), "0");
    assert_eq!(keeper.sql("select count(*) from pgreconcile.lease").trim(), "0");
}

/// A backfill that is missing would show as one row in the trend.
#[test]
fn rows_of_a_range_count_in_the_history_as_many_as_they_are() {
    let table =
        "create table t (id int primary key); insert into t select generate_series(1, 30000);";
    let pair = Pair::new(
        &format!("{table} delete from t where id between 10001 and 22000 or id % 300 = 1"),
        table,
    );
    let (keeper, spec) = (LedgerDatabase::new(), pair.spec(MAPPING));
    for ledger in [keeper.url(), "file.db".to_owned()] {
        let compared = remembered(pair.comparing(&spec, &[]), &ledger).run();
        let found = compared.exits(1).mapping()["only_in_target"].as_u64().unwrap();
        assert_eq!((found, compared.findings().len()), (12_060, 61));
        let tell = |format: &str| {
            let args = ["history", spec.to_str().unwrap(), "--format", format];
            verb(&pair, &ledger, &args).exits(0).stdout.clone()
        };
        let told: Value = serde_json::from_str(&tell("json")).unwrap();
        assert_eq!(told["runs"][0]["found_rows"], serde_json::json!({"only_in_target": 12_060}));
        assert_eq!(told["runs"][0]["findings"], serde_json::json!({"only_in_target": 61}));
        assert!(tell("terminal").contains("12,060"), "{}", tell("terminal"));
    }
}

/// Runs of weeks would fill a disk, or a run in the gate's window would be deleted.
#[test]
fn old_runs_are_deleted_whole_and_recent_ones_kept() {
    let (pair, keeper) = (diverged(), LedgerDatabase::new());
    let spec = pair.spec(MAPPING);
    let compare = || remembered(pair.comparing(&spec, &[]), &keeper.url()).run();
    compare().exits(1);
    keeper.sql(
        "insert into pgreconcile.run
            (id, verb, spec, spec_hash, scope, started_at, record, findings, summary, began, ended)
         select 'old' || n, verb, spec, spec_hash, scope, '2020-01-01T00:00:00Z', record, findings, summary,
            1000 + n, 1000 + n
         from pgreconcile.run, generate_series(1, 210) n order by n;
         insert into pgreconcile.mapping (run, place, record)
         select old.number, place, mapping.record from pgreconcile.mapping, pgreconcile.run as old
         where old.id like 'old%'",
    );
    compare().exits(1);
    // Of 212 runs twelve are above the limit, and the oldest of these is from today.
    let count = |what: &str| keeper.sql(&format!("select count(*) from pgreconcile.{what}"));
    assert_eq!(count("run").trim(), "201");
    assert_eq!(count("run where id in ('old1', 'old11')").trim(), "0");
    assert_eq!(count("run where id = 'old12' or id not like 'old%'").trim(), "3");
    assert_eq!(count("mapping").trim(), "201");
    assert_eq!(runs(&compare()).iter().map(|(_, runs)| *runs).max(), Some(3));
}

#[test]
fn a_shared_ledger_is_written_through_a_pooler() {
    let (pair, keeper) = (diverged(), LedgerDatabase::new());
    let spec = pair.spec(MAPPING);
    let bouncer = Bouncer::start(keeper.pair.clusters, &keeper.pair.database, 1);
    for seen in 1..=3 {
        let outcome = remembered(pair.comparing(&spec, &[]), &bouncer.url(Side::Source)).run();
        assert!(runs(outcome.exits(1)).iter().all(|(_, runs)| *runs == seen), "{outcome:?}");
        assert_eq!(outcome.stderr, "");
    }
    // Server connections are left as they were.
    let path =
        keeper.pair.clusters.source.sql_through(&bouncer.url(Side::Source), "show search_path");
    assert_eq!(path.trim(), "\"$user\", public");
}

/// A missing privilege on the ledger would end the comparison itself.
#[test]
fn a_role_without_rights_on_the_ledger_can_still_compare() {
    let (pair, keeper) = (diverged(), LedgerDatabase::new());
    keeper.sql(&format!("revoke create on database {} from reader", keeper.pair.database));
    let spec = pair.spec(MAPPING);
    let compare = |ledger: &str| remembered(pair.comparing(&spec, &[]), ledger).run();
    let outcome = compare(&keeper.url());
    assert_eq!(outcome.exits(1).findings().len(), 3);
    for words in ["this run is not stored", "create schema pgreconcile authorization", "--ledger"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    // With a schema of its own it needs no more.
    keeper.sql("create schema pgreconcile authorization reader");
    assert_eq!(compare(&keeper.url()).exits(1).stderr, "");
    // A server that does not exist, and a password that is never shown.
    let nowhere = "postgres://me:hunter2@127.0.0.1:1/x?sslmode=disable";
    let outcome = compare(nowhere);
    assert_eq!(outcome.exits(1).findings().len(), 3);
    assert!(outcome.stderr.contains("this run is not stored: ledger me@127.0.0.1:1/x: "));
    // A verb that needs a ledger reports the cause, with --quiet too.
    let nothing = LedgerDatabase::new();
    nothing.sql(&format!("revoke create on database {} from reader", nothing.pair.database));
    for flag in ["--run-id=x", "--resume", "--slice"] {
        let needing = pair.comparing(&spec, &[flag, "--quiet"]);
        let needing = remembered(needing, &nothing.url()).run();
        let told = refused(&needing);
        assert!(told.len() == 1, "{flag}: {told:?}");
        assert!(told[0].headline.contains("permission denied for database"), "{flag}: {told:?}");
    }
    let trouble = verb(&pair, nowhere, &["history", spec.to_str().unwrap()]);
    let resume = remembered(pair.comparing(&spec, &["--resume"]), nowhere).run();
    refused(&trouble);
    assert!(refused(&resume).iter().any(|told| told.hint.contains("--resume needs a ledger")));
    for outcome in [outcome, trouble, resume] {
        assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    }
    // Tables of a newer program are read, never written.
    keeper.sql("update pgreconcile.version set number = 99");
    keeper.sql(
        "create function written() returns trigger language plpgsql
         as $$ begin raise exception 'a newer ledger was written'; end $$",
    );
    for table in ["run", "terms", "lease", "finding", "mapping", "shard"] {
        keeper.sql(&format!(
            "create trigger written before insert or update or delete on pgreconcile.{table}
             execute function written()"
        ));
    }
    let joining = pair.comparing(&spec, &["--run-id", "night-1"]);
    let told = refused(&remembered(joining, &keeper.url()).run());
    let newer = "a newer version of this program has written it";
    assert!(told.iter().any(|told| told.headline.contains(newer)), "{told:?}");
    let outcome = compare(&keeper.url());
    assert!(outcome.exits(1).stderr.contains(newer), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("was written"), "{}", outcome.stderr);
    verb(&pair, &keeper.url(), &["history", spec.to_str().unwrap()]).exits(0);
}

/// Two runs of one spec would overwrite each other, or a dead one would lock out all later ones.
#[test]
fn a_lease_keeps_runs_apart_and_ends_with_its_holder() {
    let keeper = LedgerDatabase::new();
    let table =
        "create table t (id int primary key); insert into t select generate_series(1, 20000)";
    let pair = Pair::new(table, table);
    let slow =
        MAPPING.replace("public.t\"\n", "public.t\"\nwhere = \"pg_sleep(0.001) is not null\"\n");
    let spec = pair.spec(&slow);
    let slowly = &["--chunk-rows", "100", "--jobs", "1", "-vv"];
    let mut running = remembered(pair.comparing(&spec, slowly), &keeper.url()).start();
    running.await_line("chunk=2 ");
    let second = remembered(pair.comparing(&spec, &[]), &keeper.url()).run();
    assert!(running.is_running(), "the second run waited for the first");
    let run = keeper.sql("select id from pgreconcile.run");
    let holds = format!("another run is under way: run {} holds spec \"test\"", run.trim());
    assert!(second.exits(4).stderr.contains(&holds), "{}", second.stderr);
    // A lease belongs to a spec: it does not block other specs of the same ledger.
    let other = std::fs::read_to_string(&spec).unwrap();
    let other =
        other.replace("\"test\"", "\"other\"").replace("pg_sleep(0.001) is not null", "true");
    let other = pair.scratch.file("other.toml", &other);
    remembered(pair.comparing(&other, &[]), &keeper.url()).run().exits(0);
    // A dead process renews no lease. Its lease expires by itself; here the expiry is moved
    // forward.
    running.signal("KILL");
    let _ = running.finish();
    let left = "select extract(epoch from until - clock_timestamp()) <= 30 from pgreconcile.lease";
    assert_eq!(keeper.sql(left).trim(), "t");
    keeper.sql("update pgreconcile.lease set until = clock_timestamp()");
    // Which run is resumed is not known before its lease is taken.
    let resume = [slowly, &["--resume"][..]].concat();
    let mut running = remembered(pair.comparing(&spec, &resume), &keeper.url()).start();
    running.await_line("chunk started");
    let third = remembered(pair.comparing(&spec, &[]), &keeper.url()).run();
    assert!(third.exits(4).stderr.contains(" with --resume holds spec \"test\""), "{third:?}");
    running.signal("KILL");
    let _ = running.finish();
    keeper.sql("update pgreconcile.lease set until = clock_timestamp()");
    pair.spec(MAPPING);
    remembered(pair.comparing(&spec, &[]), &keeper.url()).run().exits(0);
}

#[test]
fn an_interrupted_run_resumes_on_another_machine() {
    let keeper = LedgerDatabase::new();
    let table = "create table t (id int primary key, v int); \
                 insert into t select n, n from generate_series(1, 20000) n; analyze t;";
    let pair = Pair::new(table, &format!("{table} update t set v = 0 where id % 3000 = 0"));
    let slow = "public.t\"\nwhere = \"id % 500 <> 0 or pg_sleep(0.05) is not null\"\n";
    let spec = pair.spec(&MAPPING.replace("public.t\"\n", slow));
    let slowly = &["--chunk-rows", "500", "--jobs", "1", "-vv"];
    let mut first = remembered(pair.comparing(&spec, slowly), &keeper.url()).start();
    first.await_line("chunk=15 ");
    first.signal("INT");
    let first = first.finish();
    first.exits(3);
    let second = remembered(pair.comparing(&spec, &["--resume", "-vv"]), &keeper.url()).run();
    assert_eq!(second.exits(1).findings().len(), 6);
    assert!(second.balances().stderr.contains("mapping resumed"), "{}", second.stderr);
    let finished = |outcome: &Outcome| outcome.stderr.matches("chunk finished").count();
    assert!(finished(&second) <= 40 - finished(&first), "{}", second.stderr);
}
