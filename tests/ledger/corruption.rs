//! Flipped bits in a ledger: no verdict depends on a value that differs from the written one, and
//! nothing panics.
//!
//! SQLite's and PostgreSQL's own checks do not detect a flipped bit in a value, so the flips are
//! made through SQL: any value of any row, including the columns of keys.

use std::collections::BTreeSet;
use std::path::Path;

use pgreconcile::compare::PartCounts;
use pgreconcile::finding::Ruling;
use pgreconcile::ledger::{Location, Recorder, ReplayOutcome, Resumable, Store};
use pgreconcile::row::Key;
use pgreconcile::schema::Side;
use rusqlite::types::Value as Cell;
use serde_json::Value;

use crate::support::ledger_database::LedgerDatabase;
use crate::support::{Outcome, Pair, Program};

/// Every table whose rows carry checksums.
const TABLES: [&str; 11] = [
    "secret",
    "run",
    "mapping",
    "undecided",
    "finding",
    "terms",
    "chunk",
    "shard",
    "ruling",
    "pass",
    "coverage",
];

/// A table whose last chunk takes `pause`, with some thousand consecutive one-sided rows, and a
/// table that no index supports.
const SOURCE: &str = "
    create table pause as select 60.0::float8 as s;
    create table t (id int primary key, v int, w text);
    create table u (id int, w text);
    insert into t select n, n, 'w' from generate_series(-11000, 4000) n;
    insert into u select n, 'w' from generate_series(1, 300) n;
    analyze;";
const TARGET: &str = "
    create table pause as select 0.0::float8 as s;
    create table t (id int primary key, v int, w text);
    create table u (id int, w text);
    insert into t select n, n, case when n % 500 = 0 then 'x' else 'w' end
        from generate_series(1, 4000) n where n % 777 <> 0;
    insert into u select n, case when n = 7 then 'x' else 'w' end from generate_series(2, 300) n;
    analyze;";
const MAPPINGS: &str = "
[[mapping]]
key = [\"id\"]
source.table = \"public.u\"
target.table = \"public.u\"
[[mapping]]
source.table = \"public.t\"
source.where = \"v < 3000 or pg_sleep((select s from public.pause)) is not null\"
target.table = \"public.t\"
";

/// Pseudorandom numbers, the same in every run of the test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

fn comparing(pair: &Pair, ledger: &str, flags: &[&str]) -> Program {
    let spec = pair.scratch.path().join("spec.toml");
    let flags =
        [&["--chunk-rows", "1000", "--jobs", "2", "-vv", "--ledger", ledger], flags].concat();
    pair.comparing(&spec, &flags).without("PGRECONCILE_LEDGER")
}

/// Runs a comparison that is interrupted in its last chunk.
fn interrupted(pair: &Pair, ledger: &str, signals: &[&str]) {
    pair.sql(Side::Source, "update pause set s = 60");
    let mut run = comparing(pair, ledger, &[]).start();
    run.await_line("kind=\"only_in_source\" disposition=\"confirmed\" rows=1");
    // Its results are written within half a second; after that there are no more.
    pair.clusters.source.await_answer(
        &pair.database,
        "select count(*) > 0 from pg_stat_activity where datname = current_database()
         and wait_event = 'PgSleep' and clock_timestamp() - query_start > interval '1 s'",
        "t",
    );
    signals.iter().for_each(|signal| run.signal(signal));
    drop(run.finish());
    let ends = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'
                and datname = current_database()";
    pair.sql(Side::Source, ends);
    pair.sql(Side::Source, "update pause set s = 0");
}

/// The output of a run without times, durations and the number of rows read again.
fn essence(outcome: &Outcome) -> (Vec<String>, Vec<Value>) {
    let mut mappings = outcome.balances().records("mapping");
    for mapping in &mut mappings {
        mapping["elapsed_ms"] = Value::Null;
        mapping.as_object_mut().unwrap().remove("read_again");
    }
    mappings.sort_by_key(|mapping| mapping["mapping"].to_string());
    (outcome.findings(), mappings)
}

/// The columns of a table and which of them are its key.
fn columns(ledger: &rusqlite::Connection, table: &str) -> Vec<(String, bool)> {
    let mut asked = ledger.prepare(&format!("pragma table_info({table})")).unwrap();
    let rows = asked.query_map([], |row| Ok((row.get(1)?, row.get::<_, i64>(5)? > 0)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Flips a bit of a value in a ledger file. Returns which one, or `None` if there is no such value.
fn flip(file: &Path, (table, column): (&str, &str), dice: &mut Dice) -> Option<String> {
    let ledger = rusqlite::Connection::open(file).unwrap();
    ledger.pragma_update(None, "synchronous", "off").unwrap();
    let keys = columns(&ledger, table).into_iter().filter(|(_, key)| *key).map(|(name, _)| name);
    let keys: Vec<String> = keys.collect();
    let list =
        format!("select {column}, {} from {table} where {column} is not null", keys.join(", "));
    let mut asked = ledger.prepare(&list).unwrap();
    let rows = asked.query_map([], |row| (0..=keys.len()).map(|at| row.get(at)).collect());
    let rows: Vec<Vec<Cell>> = rows.unwrap().map(Result::unwrap).collect();
    let row = rows.get(dice.below(rows.len().max(1)))?;
    let (flipped, cast) = match &row[0] {
        Cell::Integer(number) => (Cell::Integer(number ^ (1 << dice.below(64))), "?1"),
        Cell::Text(text) => (Cell::Blob(bit_flipped(text.as_bytes(), dice)?), "cast(?1 as text)"),
        Cell::Blob(bytes) => (Cell::Blob(bit_flipped(bytes, dice)?), "?1"),
        other => panic!("{other:?}"),
    };
    let place = keys.iter().enumerate().map(|(at, key)| format!("{key} = ?{}", at + 2));
    let place = place.collect::<Vec<_>>().join(" and ");
    let mut params = row.clone();
    params[0] = flipped;
    let update = format!("update {table} set {column} = {cast} where {place}");
    // A second row with an existing key is impossible.
    let changed = ledger.execute(&update, rusqlite::params_from_iter(&params)).ok()?;
    assert_eq!(changed, 1);
    Some(format!("{table}.{column} at {:?}: {:?}", &row[1..], params[0]))
}

fn bit_flipped(bytes: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let at = dice.below(bytes.len().max(1));
    *bytes.get_mut(at)? ^= 1 << dice.below(8);
    Some(bytes)
}

/// Every column of every table that has a value in it.
fn all_columns(file: &Path) -> Vec<(&'static str, String)> {
    let ledger = rusqlite::Connection::open(file).unwrap();
    let filled = |table: &str, column: &str| {
        let count = format!("select count({column}) from {table}");
        ledger.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap() > 0
    };
    let of = |table: &'static str| {
        let columns = columns(&ledger, table).into_iter().map(|(column, _)| (table, column));
        columns.filter(|(table, column)| filled(table, column)).collect::<Vec<_>>()
    };
    TABLES.into_iter().flat_map(of).collect()
}

/// Runs this for each number, several at a time.
fn each(numbers: usize, work: impl Fn(usize) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= numbers {
                        break;
                    }
                    work(number);
                }
            });
        }
    });
}

/// Runs that had lost findings would be taken for complete, or the program would panic, as some
/// did.
#[test]
fn a_flipped_bit_never_changes_a_resumed_runs_result() {
    let pair = Pair::new(SOURCE, TARGET);
    pair.spec(MAPPINGS);
    let folder = pair.scratch.path();
    let stood = [("ended.db", &["TERM", "TERM"][..]), ("killed.db", &["KILL"])];
    for (ledger, signals) in stood {
        interrupted(&pair, ledger, signals);
    }
    let whole = comparing(&pair, "whole.db", &[]).run();
    let expected = essence(whole.exits(1));
    let counts = std::sync::Mutex::new([0; 4]);
    each(200, |number| {
        let mut dice = Dice(number as u64 * 77 + 1);
        let ledger = format!("{number}.db");
        let file = folder.join(&ledger);
        std::fs::copy(folder.join(stood[number % 2].0), &file).unwrap();
        let columns = all_columns(&file);
        let flipped = std::iter::from_fn(|| {
            let (table, column) = &columns[(number / 2 + dice.below(2)) % columns.len()];
            Some(flip(&file, (table, column), &mut dice))
        });
        let flipped = flipped.take(50).flatten().next().unwrap();
        let outcome = comparing(&pair, &ledger, &["--resume"]).run();
        assert!(!outcome.stderr.contains("panicked"), "{flipped}: {}", outcome.stderr);
        let mut counts = counts.lock().unwrap();
        if outcome.code == 2 {
            counts[0] += 1;
        } else {
            assert_eq!(essence(&outcome), expected, "{flipped}: {}", outcome.stderr);
            assert_eq!(outcome.code, 1, "{flipped}: {}", outcome.stderr);
            let again = outcome.records("mapping").iter().any(|m| m.get("read_again").is_some());
            counts[if again {
                1
            } else {
                2 + usize::from(outcome.stderr.contains(": resuming run "))
            }] += 1;
        }
        std::fs::remove_file(&file).unwrap();
    });
    let [refused, again, new, on] = *counts.lock().unwrap();
    println!("{refused} refused, {again} read some again, {new} began anew, {on} went on");
    assert!(
        again > 20 && on > 20,
        "damage to checkpoints is reported, and costs no more than it has to"
    );
}

/// The newest of three runs found differences, and the gate requires two clean ones.
#[test]
fn a_flipped_bit_neither_opens_the_gate_nor_changes_a_report() {
    let pair = Pair::new(SOURCE, TARGET);
    pair.spec(&format!("[gate]\nclean_runs = 2\n{MAPPINGS}"));
    pair.sql(Side::Source, "update pause set s = 0; delete from t where id < 0");
    let folder = pair.scratch.path();
    let differences = "create table kept as select * from t; truncate t";
    pair.sql(Side::Source, differences);
    pair.sql(Side::Target, differences);
    pair.sql(Side::Source, "insert into t select n, n, 'w' from generate_series(1, 50) n");
    pair.sql(Side::Target, "insert into t select n, n, 'w' from generate_series(1, 50) n");
    pair.sql(Side::Source, "delete from u where id > 5");
    pair.sql(Side::Target, "truncate u; insert into u select n, 'w' from generate_series(1, 5) n");
    for _ in 0..2 {
        comparing(&pair, "base.db", &[]).run().exits(0);
    }
    let gate = |ledger: &str| {
        let program = pair.program().without("PGRECONCILE_LEDGER");
        program.args(&["gate", "spec.toml", "--ledger", ledger]).run()
    };
    gate("base.db").exits(0);
    pair.sql(Side::Target, "update t set w = 'x' where id % 9 = 0");
    comparing(&pair, "base.db", &[]).run().exits(1);
    let report = |ledger: &str| {
        let program = pair.program().without("PGRECONCILE_LEDGER");
        program.args(&["report", "spec.toml", "--format", "json", "--ledger", ledger]).run()
    };
    let told = report("base.db");
    gate("base.db").exits(1);
    let counts = std::sync::Mutex::new([0; 2]);
    each(100, |number| {
        let mut dice = Dice(number as u64 * 99 + 5);
        let ledger = format!("{number}.db");
        let file = folder.join(&ledger);
        std::fs::copy(folder.join("base.db"), &file).unwrap();
        let columns = all_columns(&file);
        let flipped = std::iter::from_fn(|| {
            let (table, column) = &columns[(number + dice.below(2)) % columns.len()];
            Some(flip(&file, (table, column), &mut dice))
        });
        let flipped = flipped.take(50).flatten().next().unwrap();
        let (judged, again) = (gate(&ledger), report(&ledger));
        assert!([1, 2].contains(&judged.code), "{flipped}: {judged:?}");
        assert!(again.code == 2 || again.stdout == told.exits(0).stdout, "{flipped}: {again:?}");
        for outcome in [&judged, &again] {
            assert!(!outcome.stderr.contains("panicked"), "{flipped}: {}", outcome.stderr);
        }
        counts.lock().unwrap()[usize::from(again.code == 2)] += 1;
        std::fs::remove_file(&file).unwrap();
    });
    let [same, refused] = *counts.lock().unwrap();
    println!("{same} reports the same, {refused} refused");
    assert!(same > 20 && refused > 20);
}

/// Lists all that a ledger returns for a spec, fact by fact; what it refuses to return is no fact.
async fn facts(url: &str) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let Ok(Some(store)) = Store::read(&Location::Database(url.to_owned())).await else {
        return facts;
    };
    let Ok(runs) = store.read_runs("test").await else { return facts };
    for run in runs.into_iter().filter(|run| !run.damaged) {
        let mut told = Vec::new();
        let retold = store.replay("test", Some(&run.run), |event| told.push(format!("{event:?}")));
        if matches!(retold.await, Ok(ReplayOutcome::Replayed)) {
            facts.extend(told.into_iter().map(|event| format!("{} {event}", run.run)));
        }
        if let Ok(Some(terms)) = store.read_run_fingerprint(&run.run).await {
            facts.insert(format!("{} terms {terms}", run.run));
        }
        facts.insert(format!("{run:?}"));
        for mapping in store.read_covered_mappings(&run.scope).await.unwrap_or_default() {
            if let Ok(Some(coverage)) = store.read_coverage(&run.scope, &mapping, None).await {
                facts.insert(format!("coverage of {mapping}: {coverage:?}"));
            }
        }
    }
    let Ok(Resumable::Run(interrupted)) = store.find_interrupted_run("test", None, |_| false).await
    else {
        return facts;
    };
    facts.insert(format!("interrupted {:?} {}", interrupted.record, interrupted.fingerprint));
    let mut recorder = Recorder::new(store, "compare");
    recorder.resume(&interrupted);
    for mapping in ["t", "u"] {
        let Ok(chunks) = recorder.read_chunks(mapping).await else { continue };
        for chunk in chunks.sound {
            let outcome = recorder.read_outcome(mapping, chunk.chunk).await;
            facts.insert(format!("{mapping} {chunk:?} {outcome:?}"));
        }
        let ruled =
            recorder.read_rulings::<Option<Key>, (Side, Option<Key>, Ruling, PartCounts)>(mapping);
        for ruled in ruled.await.into_iter().flat_map(|(ruled, _)| ruled) {
            facts.insert(format!("{mapping} {ruled:?}"));
        }
    }
    facts
}

/// A damaged value would be used: no value that differs from the written one is returned, whichever
/// row it is in.
#[test]
fn a_value_changed_by_others_in_postgresql_is_not_used() {
    let (pair, keeper) = (Pair::new(SOURCE, TARGET), LedgerDatabase::new());
    pair.spec(MAPPINGS);
    comparing(&pair, &keeper.url(), &["--mapping", "u"]).run().exits(1);
    interrupted(&pair, &keeper.url(), &["TERM", "TERM"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = keeper.url();
    let written = runtime.block_on(facts(&url));
    for part in
        ["terms", "coverage", "interrupted", "t PriorChunk", "Ruling", "Finding", "Undecided"]
    {
        assert!(written.iter().any(|fact| fact.contains(part)), "{part}: {written:#?}");
    }
    // One value of every column in each of two rows. The counter of numbers is read only to get a
    // next number, which must be larger than those of all runs.
    let cells = keeper.sql(
        "select string_agg(table_name || ' ' || column_name || ' ' || data_type, ',')
         from information_schema.columns where table_schema = 'pgreconcile'
         and table_name not in ('lease', 'version', 'pass', 'numbering') and data_type in ('text', 'bytea', 'bigint')
         and column_name not in ('holder', 'turn') and (table_name, column_name) <> ('run', 'number')",
    );
    let mut tried = 0;
    for cell in cells.split(',') {
        let [table, column, kind] = cell.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{cell}")
        };
        let other = match kind {
            "text" => format!("overlay({column} placing 'q' from 1 + length({column}) / 2 for 1)"),
            "bytea" => format!(
                "set_byte({column}, length({column}) / 2, get_byte({column}, length({column}) / 2) # 16)"
            ),
            _ => format!("{column} # 4096"),
        };
        let not_empty = if kind == "bigint" { "true" } else { &format!("length({column}) > 0") };
        for row in 0..2 {
            let before = format!(
                "drop table if exists before; create table before as select * from pgreconcile.{table}"
            );
            keeper.sql(&before);
            let changed = keeper.sql(&format!(
                "with one as (
                    select ctid from pgreconcile.{table} where {column} is not null and {not_empty}
                    order by 1 offset {row} limit 1
                 )
                 update pgreconcile.{table} t set {column} = {other} from one where t.ctid = one.ctid
                 returning 1"
            ));
            if changed.is_empty() {
                continue;
            }
            let read = runtime.block_on(facts(&url));
            let news: Vec<_> = read.difference(&written).collect();
            assert!(news.is_empty(), "{table}.{column} {row}: {news:#?}");
            assert_ne!(read, written, "{table}.{column} {row}");
            tried += 1;
            let given = if table == "run" { "overriding system value" } else { "" };
            keeper.sql(&format!(
                "truncate pgreconcile.{table}; insert into pgreconcile.{table} {given}
                 select * from before"
            ));
        }
    }
    println!("{tried} values changed");
    assert_eq!(runtime.block_on(facts(&url)), written);
    assert!(tried > 70);
}

/// A damaged ledger would be used: a process of many was killed, and what it had compared, and what
/// was left, is damaged before another process continues.
#[test]
fn damage_to_a_run_of_many_processes_is_read_again() {
    let fill = |value: &str| {
        format!(
            "create table pause as select 60.0::float8 as s;
             create table t (id int primary key, v int, w text);
             insert into t select n, n, {value} from generate_series(1, 120000) n; analyze t"
        )
    };
    let source = fill("'w'");
    let target = fill("case when n % 10000 = 7 then 'x' else 'w' end");
    let (pair, keeper) = (Pair::new(&source, &target), LedgerDatabase::new());
    let slow = "v % 60000 <> 55000 or pg_sleep((select s from public.pause)) is not null";
    pair.spec(&format!(
        "[[mapping]]\nsource.table = \"public.t\"\nsource.where = \"{slow}\"\ntarget.table = \"public.t\"\n"
    ));
    let process = |flags: &[&str]| {
        let spec = pair.scratch.path().join("spec.toml");
        let flags = [&["--chunk-rows", "5000", "--jobs", "1", "-vv"], flags].concat();
        pair.comparing(&spec, &flags).env("PGRECONCILE_LEDGER", &keeper.url())
    };
    let mut first = process(&["--run-id", "a-1"]).start();
    (0..8).for_each(|_| first.await_line("chunk finished"));
    first.signal("KILL");
    drop(first.finish());
    pair.sql(Side::Source, "update pause set s = 0");
    let expected = essence(process(&["--ledger", "off"]).run().exits(1));
    keeper.sql("create schema kept");
    let tables = ["run", "terms", "chunk", "shard", "mapping", "undecided", "finding", "coverage"];
    for table in tables {
        keeper.sql(&format!("create table kept.{table} as select * from pgreconcile.{table}"));
    }
    let shards = "select count(*) || ' ' || count(*) filter (where done) from pgreconcile.shard";
    assert_eq!(keeper.sql(shards), "2 0");
    for (damage, again) in [
        ("select", false),
        ("update pgreconcile.shard set range = set_byte(range, 3, 77) where place = 1", true),
        ("update pgreconcile.shard set done = true where place = 1", true),
        ("update pgreconcile.shard set place = 7 where place = 1", true),
        ("update pgreconcile.chunk set matched = matched + 1 where place in (1, 3)", true),
        ("delete from pgreconcile.chunk where place in (0, 2)", false),
    ] {
        let anew = tables.map(|table| {
            let given = if table == "run" { "overriding system value" } else { "" };
            format!(
                "truncate pgreconcile.{table};
                 insert into pgreconcile.{table} {given} select * from kept.{table};"
            )
        });
        keeper.sql(&anew.concat());
        keeper.sql("update pgreconcile.shard set until = null; delete from pgreconcile.lease");
        keeper.sql(damage);
        let outcome = process(&["--run-id", "a-1"]).run();
        assert_eq!(essence(outcome.exits(1)), expected, "{damage}: {}", outcome.stderr);
        let told = outcome.mapping().get("read_again").is_some();
        assert_eq!(told, again, "{damage}: {}", outcome.stderr);
    }
}

/// Damaged checkpoints of 0.1.0 would be used: they have no checksums.
#[test]
fn a_run_that_0_1_0_left_is_read_from_its_start() {
    let pair = Pair::new(SOURCE, TARGET);
    pair.spec(MAPPINGS);
    interrupted(&pair, "old.db", &["TERM", "TERM"]);
    let whole = comparing(&pair, "whole.db", &[]).run();
    // The format of 0.1.0 is this one without what has been added since.
    let ledger = rusqlite::Connection::open(pair.scratch.path().join("old.db")).unwrap();
    for table in TABLES {
        ledger.execute(&format!("alter table {table} drop column checksum"), []).unwrap();
    }
    let added = "alter table run drop column began; alter table run drop column ended;
                 alter table coverage drop column verified_by; drop table numbering";
    ledger.execute_batch(added).unwrap();
    ledger.pragma_update(None, "user_version", 2).unwrap();
    let outcome = comparing(&pair, "old.db", &["--resume"]).run();
    assert_eq!(essence(outcome.exits(1)), essence(whole.exits(1)));
    assert!(outcome.stderr.contains(": resuming run "), "{}", outcome.stderr);
    let chunks = |outcome: &Outcome| outcome.stderr.matches("chunk finished").count();
    assert_eq!(chunks(&outcome), chunks(&whole));
}
