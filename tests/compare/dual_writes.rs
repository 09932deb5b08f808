//! Both systems keep writing during a comparison: a dual writer applies each change to the source
//! and, a little later, to the target. A change that is still on its way may not be reported as a
//! difference, and a lasting difference may not be lost among such changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pgreconcile::schema::{BySide, Side};

use crate::support::{Pair, strategies};

const WRITERS: u64 = 6;
/// Rows that are written; rows with higher keys do not change.
const HOT: u64 = 600;
const ROWS: u64 = 20_000;

/// Writers that run until they are dropped.
struct DualWriter {
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// Delays the target's writes: the server waits there, by up to 0.3 s.
const LAG: &str = "select pg_sleep(random() * 0.3);";

impl DualWriter {
    fn start(pair: &Pair) -> DualWriter {
        let stop = Arc::new(AtomicBool::new(false));
        let writes = Arc::new(AtomicU64::new(0));
        let urls = BySide::new(|side| pair.clusters[side].url("postgres", &pair.database));
        let threads = (0..WRITERS).map(|writer| {
            let (stop, writes, urls) = (Arc::clone(&stop), Arc::clone(&writes), urls.clone());
            std::thread::spawn(move || write(writer, &urls, &stop, &writes))
        });
        DualWriter { threads: threads.collect(), stop, writes }
    }
}

impl Drop for DualWriter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().expect("a writer"));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn write(writer: u64, urls: &BySide<String>, stop: &AtomicBool, writes: &AtomicU64) {
    let connect = async |url: &str| {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let (source, target) = (connect(&urls.source).await, connect(&urls.target).await);
    let mut turn = writer;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        // Each writer has its own keys, so that changes of one key arrive in order.
        let id = (turn * 7919 % (HOT / WRITERS)) * WRITERS + writer;
        let change = match turn % 3 {
            0 => format!("delete from t where id = '{id}';"),
            1 => format!(
                "insert into t values ('{id}', 'v{turn}', {turn}) on conflict (id) do update set v = excluded.v;"
            ),
            _ => format!("update t set v = v || 'x', n = {turn} where id = '{id}';"),
        };
        source.batch_execute(&change).await.unwrap();
        target.batch_execute(&format!("{LAG}{change}")).await.unwrap();
        writes.fetch_add(1, Ordering::Relaxed);
    }
}

fn tables(key: &str) -> Pair {
    let rows = format!(
        "create table t (id {key} primary key, v text, n int8);
         insert into t select n, 'v' || n, n from generate_series(0, {ROWS}) n; analyze t;"
    );
    Pair::new(&rows, &rows.replace("da-x", "sv-x"))
}

const SPEC: &str = "[compare]\nsettle = \"3s\"\n[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n\
                    [mapping.target]\ntable = \"public.t\"\n";

/// Changes on their way would be reported as differences, or real differences would be lost among
/// them.
#[test]
fn replication_lag_is_no_finding_and_no_difference_is_lost() {
    let runs = [("digest", "100"), ("stream", "100"), ("digest", "1000000")];
    planted_and_nothing_else("int", SPEC, &runs);
}

/// A row that moves during the scan would be reported. The sides order these keys differently, so
/// the tables are read in physical order while rows move.
#[test]
fn a_row_that_moves_while_buckets_are_filled_is_no_finding() {
    let key = "text collate \"da-x-icu\"";
    planted_and_nothing_else(key, SPEC, &[("digest", "10"), ("digest", "100")]);
}

/// A row that leaves its group and returns during the run would be counted in two groups or in
/// none.
#[test]
fn rows_that_change_their_group_are_counted_in_one_group() {
    let spec = SPEC.replace("[mapping.source]", "group_by = \"part\"\n[mapping.source]");
    let spec =
        format!("{spec}[mapping.columns]\npart = {{ sql = \"n % 7\", target_sql = \"n % 7\" }}\n");
    planted_and_nothing_else(
        "text collate \"da-x-icu\"",
        &spec,
        &[("digest", "10"), ("digest", "100")],
    );
}

fn planted_and_nothing_else(key: &str, spec: &str, runs: &[(&str, &str)]) {
    let pair = tables(key);
    pair.sql(
        Side::Target,
        "update t set v = 'planted' where id::int % 2000 = 1999;
         delete from t where id::int % 5000 = 4998;
         insert into t values (-1, 'planted', 0), (30000, 'planted', 0);",
    );
    let planted: Vec<String> = {
        let mismatch = (1999..=ROWS)
            .step_by(2000)
            .map(|id| format!("t mismatch {{\"id\":\"{id}\"}} v: \"v{id}\" | \"planted\""));
        let missing =
            (4998..=ROWS).step_by(5000).map(|id| format!("t only_in_source {{\"id\":\"{id}\"}}"));
        let extra = [-1, 30_000].map(|id| format!("t only_in_target {{\"id\":\"{id}\"}}"));
        let mut planted: Vec<String> = mismatch.chain(missing).chain(extra).collect();
        planted.sort();
        planted
    };
    let spec = pair.spec(spec);
    let writer = DualWriter::start(&pair);
    let mut healed = 0;
    // The group of a planted row does not matter here.
    let without_group = |finding: String| match finding.split_once(" in \"") {
        Some((kind, rest)) => format!("{kind}{}", rest.split_once('"').unwrap().1),
        None => finding,
    };
    for (strategy, chunk) in runs {
        let outcome = pair
            .program()
            .args(&["compare", spec.to_str().unwrap(), "--format", "jsonl", "--progress", "never"])
            .args(&["--strategy", strategy, "--chunk-rows", chunk])
            .run();
        let mut found: Vec<_> = outcome.findings().into_iter().map(without_group).collect();
        found.sort();
        assert_eq!(found, planted, "{strategy} {chunk}");
        outcome.balances().exits(1);
        healed += outcome.mapping()["healed"].as_u64().unwrap();
    }
    let writes = writer.writes.load(Ordering::Relaxed);
    drop(writer);
    // The test would prove nothing if no change had been seen on its way.
    assert!(healed > 0 && writes > 50, "{healed} healed of {writes} writes");
}

/// A row that keeps changing would be reported as a difference, or as equal.
#[test]
fn a_row_that_keeps_changing_is_unsettled_never_equal() {
    let pair = tables("int");
    let stop = Arc::new(AtomicBool::new(false));
    let url = pair.clusters.source.url("postgres", &pair.database);
    let writer = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || keep_changing(&url, &stop))
    };
    let spec = pair.spec(&SPEC.replace("3s", "400ms"));
    let outcome = pair
        .program()
        .args(&["compare", spec.to_str().unwrap(), "--format", "jsonl", "--progress", "never"])
        .run();
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer");
    let found = outcome.findings();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("t mismatch (unsettled) {\"id\":\"7\"}"), "{found:?}");
    let mapping = outcome.balances().exits(3).mapping();
    assert_eq!((&mapping["unsettled"], &mapping["complete"]), (&1.into(), &false.into()));
}

#[tokio::main(flavor = "current_thread")]
async fn keep_changing(url: &str, stop: &AtomicBool) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    while !stop.load(Ordering::Relaxed) {
        client.batch_execute("update t set n = n + 1 where id = 7").await.unwrap();
    }
}

/// Rows that a backfill adds during the run would be reported as missing.
#[test]
fn a_backfill_during_the_run_leaves_no_finding() {
    let pair = tables("int");
    pair.sql(Side::Target, "delete from t where id > 5000");
    let spec = pair.spec(&SPEC.replace("3s", "2s"));
    let mut running = pair
        .program()
        .args(&["compare", spec.to_str().unwrap(), "--format", "jsonl", "--progress", "never"])
        .args(&["-vv"])
        .start();
    // The backfill starts after all of its rows have been seen to be missing.
    running.await_line("chunk finished");
    pair.sql(
        Side::Target,
        &format!("insert into t select n, 'v' || n, n from generate_series(5001, {ROWS}) n"),
    );
    let outcome = running.finish();
    assert_eq!(outcome.findings(), Vec::<String>::new());
    outcome.balances().exits(0);
}

/// Missing rows would be counted wrongly where a chunk has more differences than one portion, and a
/// backfill adds some of the rows piece by piece during the run.
#[test]
fn a_backfill_of_a_part_during_the_run_is_counted_exactly() {
    let table = "create table t (id int primary key, v text, n int8);";
    let fill = "insert into t select n, 'v' || n, n from generate_series";
    let pair = Pair::new(&format!("{table} {fill}(1, 300000) n; analyze t"), table);
    for strategy in strategies() {
        pair.sql(Side::Target, "truncate t");
        let spec = pair.spec(&SPEC.replace("3s", "2s"));
        let mut running = pair
            .program()
            .args(&["compare", spec.to_str().unwrap(), "--format", "jsonl", "--progress", "never"])
            .args(&["--strategy", strategy, "--chunk-rows", "1000000", "-vv"])
            .start();
        running.await_line("chunk finished");
        pair.sql(Side::Target, &format!("{fill}(100001, 120000) n"));
        let outcome = running.finish();
        let mapping = outcome.exits(1).balances().mapping();
        assert_eq!(mapping["only_in_source"], 280_000, "{strategy}: {mapping}");
        assert_eq!(mapping["books"]["source"]["matched"], 20_000, "{strategy}: {mapping}");
    }
}
