//! Ledgers of older versions: they are migrated with all their rows, once, completely or not at
//! all, and only by a role that has the privileges.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use pgreconcile::schema::Side;

use crate::support::cluster::binaries;
use crate::support::ledger_database::LedgerDatabase;
use crate::support::report::diverged;
use crate::support::{Bouncer, Outcome, Pair, Program, refused};

/// The spec of the stored runs.
const SPEC: &str = include_str!("versions/version_1/spec.toml");
const SHARED: &str = include_str!("versions/version_1/shared.sql");
const FILE: &str = include_str!("versions/version_1/file.sql");
/// Two runs, as the program of that version wrote them.
const ROWS: &str = include_str!("versions/version_1/rows.sql");
/// Two runs and one that was killed, as 0.1.0 wrote them.
const ROWS_2: &str = include_str!("versions/version_2/rows.sql");
const SHARED_2: &str = include_str!("../../src/ledger/statements/shared_schema_2.sql");
const FILE_2: &str = include_str!("../../src/ledger/statements/schema_2.sql");
/// Two runs and a shared one that was killed, as the last program with version 3 wrote them.
const ROWS_3: &str = include_str!("versions/version_3/rows.sql");
/// The leases and the shard of that run, which only a database has.
const SHARED_ROWS_3: &str = include_str!("versions/version_3/shared.sql");
const SHARED_3: &str = include_str!("../../src/ledger/statements/shared_schema_3.sql");
const FILE_3: &str = include_str!("../../src/ledger/statements/schema_3.sql");

/// A database with a ledger of version 1 whose tables are of this role.
fn old_keeper(owner: &str) -> LedgerDatabase {
    let keeper = LedgerDatabase::new();
    let cluster = &keeper.pair.clusters.source;
    cluster.sql_as(owner, &keeper.pair.database, &format!("begin; {SHARED} {ROWS} commit"));
    keeper
}

/// A database with a ledger of this version, or none.
fn keeper_of(version: u32) -> LedgerDatabase {
    match version {
        0 => LedgerDatabase::new(),
        1 => old_keeper("reader"),
        _ => {
            let keeper = LedgerDatabase::new();
            let (steps, rows) = match version {
                2 => (String::new(), ROWS_2.to_owned()),
                _ => (SHARED_3.to_owned(), format!("{ROWS_3} {SHARED_ROWS_3}")),
            };
            let of = format!("insert into pgreconcile.version values ({version});");
            let sql = format!("begin; {SHARED} {SHARED_2} {steps} {of} {rows} commit");
            let cluster = &keeper.pair.clusters.source;
            cluster.sql_as("reader", &keeper.pair.database, &sql);
            keeper
        }
    }
}

/// The versions that a ledger has had, and how many runs and tables it has.
fn state(keeper: &LedgerDatabase) -> String {
    keeper.sql(
        "select (select string_agg(number::text, ' ' order by number) from pgreconcile.version),
         (select count(*) from pgreconcile.run),
         (select count(*) from pg_tables where schemaname = 'pgreconcile')",
    )
}

/// Returns the start and the end of each run, by number.
fn numbers(keeper: &LedgerDatabase) -> String {
    let numbers =
        "select string_agg(began || ' ' || ended, '|' order by began) from pgreconcile.run";
    keeper.sql(numbers).trim().to_owned()
}

/// A call that uses this ledger. The tables are those that the older runs compared.
fn call(pair: &Pair, ledger: &str, verb: &str, flags: &[&str]) -> Program {
    let spec = pair.scratch.file("spec.toml", SPEC);
    let program = pair.program().env("PGRECONCILE_LEDGER", ledger);
    program.args(&[verb, spec.to_str().unwrap()]).args(flags)
}

fn comparing(pair: &Pair, ledger: &str) -> Program {
    call(pair, ledger, "compare", &["--settle", "0s", "--format", "jsonl"])
}

/// Asserts that every difference was found by the two older runs.
#[track_caller]
fn continues(outcome: &Outcome) {
    continues_since(outcome, "2026-11-25T03:54:12.488Z");
}

#[track_caller]
fn continues_since(outcome: &Outcome, first_seen: &str) {
    assert_eq!(outcome.exits(1).stderr, "");
    let seen = outcome.records("finding");
    let seen: Vec<_> = seen.iter().map(|told| (&told["runs"], &told["first_seen"])).collect();
    assert_eq!(seen, [(&3.into(), &first_seen.into()); 3]);
}

/// History would be lost: the first run after an upgrade would start without the results of past
/// weeks, and the gate would wait for as many clean runs again.
#[test]
fn a_version_1_ledger_is_migrated_with_all_its_rows() {
    let pair = diverged();
    for first in ["compare", "history", "gate"] {
        let keeper = old_keeper("reader");
        assert_eq!(state(&keeper), "1|2|7");
        let file = pair.scratch.path().join(format!("{first}.db"));
        let old = rusqlite::Connection::open(&file).unwrap();
        let rows = ROWS.replace("pgreconcile.", "").replace("'\\x", "x'");
        old.execute_batch(&format!("begin; {FILE} {rows} commit")).unwrap();
        old.execute_batch("pragma application_id = 0x70677263; pragma user_version = 1").unwrap();
        for ledger in [&keeper.url(), file.to_str().unwrap()] {
            if first != "compare" {
                let outcome = call(&pair, ledger, first, &[]).run();
                assert_eq!(
                    (outcome.code, outcome.stderr.as_str()),
                    (i32::from(first == "gate"), "")
                );
            }
            continues(&comparing(&pair, ledger).run());
            let history = call(&pair, ledger, "history", &[]).run();
            let told = &history.exits(0).stdout;
            assert!(told.starts_with("test: 3 runs\n"), "{told}");
            assert!(told.contains("3 still the same, 0 gone\n"), "{told}");
            let gate = call(&pair, ledger, "gate", &[]).run();
            let told = &gate.exits(1).stdout;
            assert_eq!(told.matches(" differs in 3 rows of mapping \"t\"\n").count(), 3, "{told}");
        }
        assert_eq!(state(&keeper), "1 4|3|14");
        assert_eq!(numbers(&keeper), "1 1|2 2|3 4");
        let version = old.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        assert_eq!(version, Ok(4));
    }
}

/// Data of 0.1.0 would be refused: it is as valid as what is written now, except for checkpoints,
/// which have no checksums.
#[test]
fn rows_of_0_1_0_get_checksums_when_migrated() {
    let (pair, keeper) = (diverged(), keeper_of(2));
    let file = pair.scratch.path().join("old.db");
    let old = rusqlite::Connection::open(&file).unwrap();
    let rows = ROWS_2.replace("pgreconcile.", "").replace("'\\x", "x'");
    old.execute_batch(&format!("begin; {FILE} {FILE_2} {rows} commit")).unwrap();
    old.execute_batch("pragma application_id = 0x70677263; pragma user_version = 2").unwrap();
    let tables = ["secret", "run", "mapping", "finding", "terms", "coverage"];
    for ledger in [&keeper.url(), file.to_str().unwrap()] {
        let history = call(&pair, ledger, "history", &["--format", "json"]).run();
        let told: serde_json::Value = serde_json::from_str(&history.exits(0).stdout).unwrap();
        let runs = told["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 3);
        assert!(runs.iter().all(|run| run.get("damaged").is_none()), "{told}");
        let report = call(&pair, ledger, "report", &["--format", "jsonl"]).run();
        assert_eq!(report.exits(0).findings().len(), 3);
        for table in tables {
            let rows = format!("select count(*) filter (where checksum is null) from {table}");
            let bare = match ledger == keeper.url() {
                true => keeper.sql(&rows.replace("from ", "from pgreconcile.")),
                false => old.query_row(&rows, [], |row| row.get::<_, i64>(0)).unwrap().to_string(),
            };
            assert_eq!(bare, "0", "{table}");
        }
        continues_since(&comparing(&pair, ledger).run(), "2026-11-29T03:16:13.305Z");
        let gate = call(&pair, ledger, "gate", &[]).run();
        let told = &gate.exits(1).stdout;
        assert_eq!(told.matches(" differs in 3 rows of mapping \"t\"\n").count(), 2, "{told}");
        assert!(told.contains(" has no end: ") && !told.contains("damaged"), "{told}");
    }
    assert_eq!(keeper.sql("select count(*) from pgreconcile.chunk"), "0");
    assert_eq!(state(&keeper), "1 2 4|4|14");
    // The killed run is the third, and has no end.
    assert_eq!(numbers(&keeper), "1 1|2 2|4 5");
}

/// A migration would free a spec that a run holds, or damage a row: up to version 3 blanks in a
/// name distinguished the kinds of leases.
#[test]
fn leases_of_version_3_get_their_kind_and_still_hold() {
    let (pair, keeper) = (diverged(), keeper_of(3));
    let file = pair.scratch.path().join("old.db");
    let old = rusqlite::Connection::open(&file).unwrap();
    let rows = ROWS_3.replace("pgreconcile.", "").replace("'\\x", "x'");
    old.execute_batch(&format!("begin; {FILE} {FILE_2} {FILE_3} {rows} commit")).unwrap();
    old.execute_batch("pragma application_id = 0x70677263; pragma user_version = 3").unwrap();
    // A process of the run is alive. The other leases belong to a deleted run, and to a spec.
    keeper.sql(
        "update pgreconcile.lease set until = clock_timestamp() + interval '1 h';
         insert into pgreconcile.lease values ('settling 9', 'gone', 'infinity'),
             ('other', 'process p with --resume', 'infinity')",
    );
    let locked = comparing(&pair, &keeper.url()).run();
    let holds = "another run is under way: run k holds spec \"test\"";
    assert!(locked.exits(4).stderr.contains(holds), "{}", locked.stderr);
    let process = "01M8KKN02FKY2GKW122YBWXEB1";
    let leases =
        "select string_agg(concat_ws(':', kind, spec, run, holder), ' ' order by kind, spec)
         from pgreconcile.lease";
    assert_eq!(
        keeper.sql(leases).trim(),
        format!(
            "process:{process}:k:{process} report:k:k:{process} \
             spec:other::process p with --resume spec:test:k:run k"
        )
    );
    assert_eq!(state(&keeper), "1 3 4|3|14");
    assert_eq!(keeper.sql("select count(*) from pgreconcile.chunk"), "1");
    keeper.sql("update pgreconcile.lease set until = clock_timestamp()");
    for ledger in [&keeper.url(), file.to_str().unwrap()] {
        let history = call(&pair, ledger, "history", &["--format", "json"]).run();
        let told: serde_json::Value = serde_json::from_str(&history.exits(0).stdout).unwrap();
        let runs = told["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 3);
        assert!(runs.iter().all(|run| run.get("damaged").is_none()), "{told}");
        continues_since(&comparing(&pair, ledger).run(), "2026-11-29T12:14:19.766Z");
    }
    let version = old.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    assert_eq!(version, Ok(4));
}

/// A session of another user that holds a lock until it is dropped.
struct Held(Child);

impl Held {
    fn new(keeper: &LedgerDatabase, sql: &str) -> Held {
        let cluster = &keeper.pair.clusters.source;
        let mut psql = Command::new(binaries().join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-d", &cluster.url("postgres", &keeper.pair.database)]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql");
        let asks = format!("begin; {sql}; select 'held';\n");
        child.stdin.as_mut().unwrap().write_all(asks.as_bytes()).unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"));
        Held(child)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Waits until so many sessions of ledgers are in this state.
fn await_sessions(keeper: &LedgerDatabase, condition: &str, number: &str) {
    let asked = format!(
        "select count(*) from pg_stat_activity where datname = current_database()
         and usename = 'reader' and query not like '%pg_stat_activity%' and {condition}"
    );
    keeper.pair.clusters.source.await_answer(&keeper.pair.database, &asked, number);
}

/// The ledger would be migrated twice: the processes of two specs find that it needs a migration,
/// and continue at the same moment.
fn begin_at_once(pairs: &[Pair; 2], keeper: &LedgerDatabase, url: &str) {
    let lock = include_str!("../../src/ledger/statements/shared_create.sql");
    let lock = lock.lines().find(|line| line.contains("pg_advisory_xact_lock")).unwrap();
    let held = Held::new(keeper, lock.trim_end_matches(';'));
    let first = comparing(&pairs[0], url).start();
    // A lease belongs to a spec.
    let other = SPEC.replace("\"test\"", "\"other\"");
    let other = pairs[1].scratch.file("other.toml", &other);
    let second = pairs[1].comparing(&other, &[]).env("PGRECONCILE_LEDGER", url).start();
    await_sessions(keeper, "wait_event = 'advisory'", "2");
    drop(held);
    for running in [first, second] {
        assert_eq!(running.finish().exits(1).stderr, "");
    }
}

/// Both would create the same tables, and one of them would fail.
#[test]
fn two_processes_that_begin_at_once_bring_a_ledger_forward_once() {
    let pairs = [diverged(), diverged()];
    for version in [0, 2] {
        for pooled in [false, true] {
            let keeper = keeper_of(version);
            let bouncer = Bouncer::start(keeper.pair.clusters, &keeper.pair.database, 4);
            let url = if pooled { bouncer.url(Side::Source) } else { keeper.url() };
            begin_at_once(&pairs, &keeper, &url);
            assert_eq!(state(&keeper), if version == 0 { "4|2|14" } else { "1 2 4|5|14" });
            // No number was used twice.
            let given = "select count(*), count(distinct given.number) from pgreconcile.run,
                 unnest(array[began, ended]) as given (number) where began < ended";
            assert_eq!(keeper.sql(given).trim(), "4|4");
        }
    }
}

/// A migration would use outdated catalog data: a pooler's connection has created a ledger before,
/// and what it cached of the catalogs before its wait is no longer valid after it.
#[test]
fn two_processes_that_start_at_once_create_a_ledger_once() {
    let (pairs, keeper) = ([diverged(), diverged()], LedgerDatabase::new());
    let bouncer = Bouncer::start(keeper.pair.clusters, &keeper.pair.database, 2);
    for again in 0..4 {
        if again > 0 {
            keeper.sql("drop schema pgreconcile cascade");
        }
        begin_at_once(&pairs, &keeper, &bouncer.url(Side::Source));
        assert_eq!(state(&keeper), "4|2|14");
    }
}

/// No program could read a ledger that is half migrated.
#[test]
fn a_migration_that_is_killed_changes_nothing() {
    let pair = diverged();
    for version in [0, 1, 2, 3] {
        let keeper = keeper_of(version);
        keeper.sql("create schema if not exists pgreconcile authorization reader");
        let tables = || {
            let names = "select string_agg(table_name || '.' || column_name, ' ' order by 1)
                from information_schema.columns";
            keeper.sql(&format!("{names} where table_schema = 'pgreconcile'"))
        };
        let before = tables();
        // A session that creates a table of this name waits until the other transaction ends; one
        // that adds a column to it waits until no session reads it.
        let (holds, does) = match version {
            2 => ("lock table pgreconcile.coverage in access share mode", "alter table"),
            3 => ("lock table pgreconcile.lease in access share mode", "alter table"),
            _ => ("create table pgreconcile.coverage ()", "create table"),
        };
        let held = Held::new(&keeper, holds);
        let running = comparing(&pair, &keeper.url()).start();
        let waits = format!("wait_event_type = 'Lock' and query like '%{does}%'");
        await_sessions(&keeper, &waits, "1");
        running.signal("KILL");
        let _ = running.finish();
        drop(held);
        await_sessions(&keeper, "true", "0");
        assert_eq!(tables(), before);
        if version == 1 {
            assert_eq!(state(&keeper), "1|2|7");
            continues(&comparing(&pair, &keeper.url()).run());
        } else {
            assert_eq!(comparing(&pair, &keeper.url()).run().exits(1).stderr, "");
        }
        assert_eq!(
            state(&keeper),
            ["4|1|14", "1 4|3|14", "1 2 4|4|14", "1 3 4|4|14"][version as usize]
        );
    }
}

/// A missing privilege would end a comparison: the message names what the owner of the tables has
/// to do, and the comparison runs without its history.
#[test]
fn a_role_that_may_not_migrate_says_what_the_owner_must_run() {
    let (pair, keeper) = (diverged(), old_keeper("postgres"));
    let grant = "grant select, insert, update, delete on all tables in schema pgreconcile to ";
    keeper.sql(&format!("grant usage on schema pgreconcile to reader; {grant} reader"));
    let compared = comparing(&pair, &keeper.url()).run();
    assert_eq!(compared.exits(1).findings().len(), 3);
    assert!(compared.stderr.contains("warning: this run is not stored: "));
    let told = |verb: &str, flags: &[&str]| call(&pair, &keeper.url(), verb, flags).run();
    let others = [told("compare", &["--resume"]), told("gate", &[]), told("history", &[])];
    others.iter().for_each(|outcome| drop(refused(outcome)));
    for outcome in others.iter().chain([&compared]) {
        for words in [
            "its tables are of version 1, this program needs those of version 4",
            "may not add them: permission denied to set role \"postgres\"",
            "let the owner of the tables run once: pgreconcile history SPEC --ledger URL",
            grant,
        ] {
            assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
        }
    }
    assert_eq!(state(&keeper), "1|2|7");
    // The command from the message.
    let owner = keeper.pair.clusters.source.url("postgres", &keeper.pair.database);
    call(&pair, &owner, "history", &[]).run().exits(0);
    keeper.sql(&format!("{grant} reader"));
    continues(&comparing(&pair, &keeper.url()).run());
}

/// Tables of two owners could be used by neither.
#[test]
fn who_is_a_member_of_the_owner_adds_tables_of_the_owner() {
    let (pair, keeper) = (diverged(), LedgerDatabase::new());
    let owner = format!("owner_{}", keeper.pair.database);
    keeper.sql(&format!(
        "create role {owner}; grant create on database {} to {owner}; grant {owner} to reader;
         set role {owner}; {SHARED} {ROWS}",
        keeper.pair.database
    ));
    continues(&comparing(&pair, &keeper.url()).run());
    let owners = "select distinct tableowner from pg_tables where schemaname = 'pgreconcile'";
    assert_eq!(keeper.sql(owners), owner);
    keeper.sql(&format!("drop owned by {owner}; drop role {owner}"));
}
