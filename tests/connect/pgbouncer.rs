//! Everything through PgBouncer in transaction pooling, with a pool of two connections per
//! database, beside a client that misbehaves: it leaves settings and prepared statements on server
//! connections.

use std::time::Duration;

use pgreconcile::schema::{BySide, Side};

use crate::support::wait;
use crate::support::{Bouncer, Outcome, Pair, strategies};

/// A table with a difference of each kind, the last rows one-sided.
fn tables() -> Pair {
    let rows = "create table t (id int primary key, v text, at timestamptz, n numeric(8, 2));
        insert into t select n, 'v' || n, timestamptz '2026-01-01 00:00+00' + n * interval '1 s', n / 4.0
        from generate_series(1, 5000) n;";
    let pair = Pair::new(rows, rows);
    pair.sql(
        Side::Target,
        "update t set at = at + interval '1 us' where id = 700;
         update t set n = -n where id = 1400; delete from t where id = 2100;
         insert into t values (0, 'extra', null, null);",
    );
    pair
}

const EXPECTED: [&str; 4] = [
    "t mismatch {\"id\":\"1400\"} n: \"350.00\" | \"-350.00\"",
    "t mismatch {\"id\":\"700\"} at: \"2026-01-01 00:11:40+00\" | \"2026-01-01 00:11:40.000001+00\"",
    "t only_in_source {\"id\":\"2100\"}",
    "t only_in_target {\"id\":\"0\"}",
];

const SPEC: &str =
    "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n";

fn compare(pair: &Pair, bouncer: &Bouncer, flags: &[&str]) -> Outcome {
    let spec = pair.spec(SPEC);
    pair.program()
        .env("SOURCE_URL", &bouncer.url(Side::Source))
        .env("TARGET_URL", &bouncer.url(Side::Target))
        .args(&["compare", spec.to_str().unwrap(), "--settle", "0s", "--format", "jsonl"])
        .args(&["--progress", "never"])
        .args(flags)
        .run()
}

/// A client in the same pool that changes session settings, and prepares statements under the names
/// that drivers use.
struct Misbehaving {
    runtime: tokio::runtime::Runtime,
    stop: tokio::sync::watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<u64>>,
}

impl Misbehaving {
    fn start(bouncer: &Bouncer) -> Misbehaving {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let urls = BySide::new(|side| bouncer.url(side));
        let tasks = [urls.source, urls.target].map(|url| {
            let stopped = stopped.clone();
            runtime.spawn(async move {
                let (client, connection) =
                    tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                let mut turns = 0;
                while !*stopped.borrow() {
                    let name = turns % 30;
                    let sql = format!(
                        "set search_path = public; set timezone = 'Asia/Tokyo'; set datestyle = 'German, DMY';
                         set extra_float_digits = 0; set bytea_output = escape;
                         set default_transaction_isolation = 'serializable';
                         deallocate all; prepare s{name} as select 'not yours'"
                    );
                    client.batch_execute(&sql).await.unwrap();
                    turns += 1;
                }
                turns
            })
        });
        Misbehaving { runtime, stop, tasks: tasks.into() }
    }

    /// Stops the client and returns how often it did so.
    fn stop(mut self) -> u64 {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut self.tasks);
        tasks.into_iter().map(|task| self.runtime.block_on(task).unwrap()).min().unwrap_or(0)
    }
}

#[test]
fn the_answer_through_a_transaction_pooler_is_the_answer() {
    let pair = tables();
    let mut bouncer = Bouncer::start(pair.clusters, &pair.database, 2);
    let misbehaving = Misbehaving::start(&bouncer);
    for strategy in strategies() {
        for flags in [&["--chunk-rows", "40", "--jobs", "4"][..], &["--chunk-rows", "1000"], &[]] {
            let flags: Vec<&str> = ["--strategy", strategy].iter().chain(flags).copied().collect();
            let outcome = compare(&pair, &bouncer, &flags);
            assert_eq!(outcome.findings(), EXPECTED, "{flags:?}\n{}", outcome.stderr);
            outcome.balances().exits(1);
        }
    }
    assert!(misbehaving.stop() > 100, "the misbehaving client hardly ran");
    assert!(bouncer.is_alive());
}

#[test]
fn nothing_of_ours_stays_on_a_pooled_connection() {
    let pair = tables();
    let bouncer = Bouncer::start(pair.clusters, &pair.database, 1);
    // PgBouncer itself passes the last client's application_name on.
    let left = "select name, setting from pg_settings where source = 'session' and name <> 'application_name';
        select name from pg_prepared_statements; select count(*) from pg_locks where locktype = 'advisory'";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let look = |side: Side| {
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&bouncer.url(side), tokio_postgres::NoTls).await.unwrap();
            let driver = tokio::spawn(connection);
            let rows = client.simple_query(left).await.unwrap();
            let text = |message: &tokio_postgres::SimpleQueryMessage| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => (0..row.len())
                    .map(|at| row.get(at).unwrap_or("").to_owned())
                    .collect::<Vec<_>>()
                    .join("="),
                _ => String::new(),
            };
            let found: Vec<String> = rows.iter().map(text).collect();
            drop(client);
            let _ = driver.await;
            found
        })
    };
    let before = BySide::new(look);
    for strategy in strategies() {
        compare(&pair, &bouncer, &["--strategy", strategy, "--jobs", "1"]).exits(1);
    }
    assert_eq!(before, BySide::new(look));
}

/// Statements of a run that has ended would occupy the pooler's few connections.
#[test]
fn an_interrupted_run_leaves_no_statement_on_the_servers() {
    let pair = tables();
    let mut bouncer = Bouncer::start(pair.clusters, &pair.database, 2);
    let spec = pair.spec(
        "[[mapping]]\nname = \"slow\"\nkey = [\"id\"]\n[mapping.source]\nquery = \"select id, v from public.t, pg_sleep(60)\"\n\
         [mapping.target]\nquery = \"select id, v from public.t\"\n",
    );
    let mut running = pair
        .program()
        .env("SOURCE_URL", &bouncer.url(Side::Source))
        .env("TARGET_URL", &bouncer.url(Side::Target))
        .args(&["compare", spec.to_str().unwrap(), "--format", "jsonl", "-vv"])
        .start();
    let active = "select count(*) from pg_stat_activity where state <> 'idle' and query like '%pg_sleep(60)%'
        and pid <> pg_backend_pid()";
    // Planning runs the query too, and an interrupt there has another exit code.
    running.await_line("chunk started");
    wait::until("the query runs", || pair.sql(Side::Source, active) != "0");
    running.signal("INT");
    running.signal("INT");
    let outcome = running.finish();
    assert!(!outcome.exits(3).records("undecided").is_empty(), "{}", outcome.stdout);
    // Without a cancel request the query would end after 60 s.
    let cancelled = || pair.sql(Side::Source, active) == "0";
    wait::within(Duration::from_secs(40), "the query is cancelled", cancelled);
    assert!(bouncer.is_alive());
}
