//! Faults outside the program: servers that are killed, statements that take too long, locks, a
//! full disk. A fault may cost time or leave something undecided; it never makes rows differ or
//! disappear.

use pgreconcile::schema::{BySide, Side};

use crate::support::{Cluster, Outcome, Pair, Program, Scratch, Settings};

/// Two servers of one test's own, each with the same table, and the spec.
struct Own {
    clusters: BySide<Cluster>,
    scratch: Scratch,
}

const ROWS: u32 = 20_000;

impl Own {
    fn start() -> Own {
        let own = Own {
            clusters: BySide::new(|_| Cluster::start(Settings("fsync = on"))),
            scratch: Scratch::new(),
        };
        for (_, cluster) in own.clusters.iter() {
            cluster.sql(
                "postgres",
                &format!(
                    "create table t (id int primary key, v text);
                     insert into t select n, 'v' || n from generate_series(1, {ROWS}) n; analyze t; checkpoint;"
                ),
            );
        }
        own.clusters.target.sql(
            "postgres",
            "update t set v = 'x' where id in (1, 10000, 20000); delete from t where id = 15000; checkpoint;",
        );
        own
    }

    fn program(&self) -> Program {
        let url = |side: Side| self.clusters[side].url("postgres", "postgres");
        let head = "version = 1\nname = \"faults\"\n[source]\nurl = \"${SOURCE_URL}\"\n[target]\nurl = \"${TARGET_URL}\"\n";
        let spec = self.scratch.file(
            "spec.toml",
            &format!("{head}[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n"),
        );
        Program::new()
            .env("SOURCE_URL", &url(Side::Source))
            .env("TARGET_URL", &url(Side::Target))
            .args(&["compare", spec.to_str().unwrap(), "--settle", "0s", "--format", "jsonl"])
            .args(&["--progress", "never", "--chunk-rows", "100", "-vv"])
    }
}

const EXPECTED: [&str; 4] = [
    "t mismatch {\"id\":\"1\"} v: \"v1\" | \"x\"",
    "t mismatch {\"id\":\"10000\"} v: \"v10000\" | \"x\"",
    "t mismatch {\"id\":\"20000\"} v: \"v20000\" | \"x\"",
    "t only_in_source {\"id\":\"15000\"}",
];

fn exact(outcome: &Outcome) {
    assert_eq!(outcome.findings(), EXPECTED, "{}", outcome.stderr);
    outcome.balances().exits(1);
    assert_eq!(outcome.mapping()["rows"]["source"], ROWS);
}

/// A server's restart would leave ranges undecided, or rows would be reported as missing.
#[test]
fn a_server_that_restarts_costs_only_time() {
    let own = Own::start();
    for (side, strategy, chunk) in
        [(Side::Target, "digest", "chunk=3 "), (Side::Source, "stream", "chunk=20 ")]
    {
        let mut running = own.program().args(&["--strategy", strategy]).start();
        running.await_line(chunk);
        own.clusters[side].kill();
        running.await_line("retrying");
        own.clusters[side].restart();
        exact(&running.finish());
    }
}

#[test]
fn a_server_that_stays_away_ends_the_run_as_incomplete() {
    let own = Own::start();
    let mut running = own.program().start();
    running.await_line("chunk=50 ");
    own.clusters.source.kill();
    let outcome = running.finish();
    outcome.balances().exits(3);
    let mapping = outcome.mapping();
    assert_eq!(mapping["complete"], false);
    assert!(mapping["coverage"].as_f64().unwrap() < 1.0, "{mapping}");
    assert!(mapping["reason"].as_str().unwrap().contains("source"), "{mapping}");
    let undecided = outcome.records("undecided");
    let last = undecided.last().expect("an undecided range");
    assert_eq!(last["range"]["through"], serde_json::Value::Null, "{last}");
    assert_eq!(outcome.records("summary")[0]["verdict"], "incomplete");
}

fn table(rows: u32) -> String {
    format!(
        "create table t (id int primary key, v text);
         insert into t select n, 'v' || n from generate_series(1, {rows}) n; analyze t;"
    )
}

const SPEC: &str =
    "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n";

#[test]
fn a_chunk_that_takes_too_long_is_cut_until_it_fits() {
    // A row takes 0.2 ms: 20,000 of them take 4 s, and the server allows half a second.
    let pair = Pair::new(&table(20_000), &table(20_000));
    pair.sql(
        Side::Source,
        "create view slow as select id, v || case when pg_sleep(0.0002) is null then '' else '' end as v from t;
         update t set v = 'x' where id = 777;",
    );
    pair.grant(Side::Source);
    let spec = pair.spec(
        "[compare]\nstatement_timeout = \"500ms\"\n[[mapping]]\nkey = [\"id\"]\n[mapping.source]\ntable = \"public.t\"\n\
         [mapping.target]\ntable = \"public.t\"\n[mapping.columns]\n\
         v = { sql = \"v || case when pg_sleep(0.0002) is null then '' else '' end\" }\n",
    );
    let outcome = pair.compare(&spec, &["--mapping", "t"]);
    assert_eq!(outcome.findings(), ["t mismatch {\"id\":\"777\"} v: \"x\" | \"v777\""]);
    outcome.balances().exits(1);
}

#[test]
fn a_chunk_that_never_fits_is_undecided_and_ends_the_mapping() {
    let pair = Pair::new(&table(5_000), &table(5_000));
    let spec = pair.spec(
        "[compare]\nstatement_timeout = \"100ms\"\n[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n\
         [mapping.target]\ntable = \"public.t\"\n[mapping.columns]\n\
         v = { sql = \"v || pg_sleep(1)::text\" }\n",
    );
    let outcome = pair.compare(&spec, &[]);
    outcome.balances().exits(3);
    let reason = outcome.mapping()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("statement timeout"), "{reason}");
    assert_eq!(outcome.findings(), Vec::<String>::new());
}

/// One value that raises an error would end the comparison of its whole table.
#[test]
fn a_value_that_fails_to_compute_leaves_its_row_undecided() {
    let pair = Pair::new(
        &table(3_000),
        "create table t (id int primary key, v int8);
        insert into t select n, n from generate_series(1, 3000) n; analyze t;",
    );
    pair.sql(
        Side::Source,
        "update t set v = 'secret' where id = 1234; update t set v = 'v7' where id = 8",
    );
    let spec = pair.spec(
        "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n\
         [mapping.columns]\nv = { sql = \"substr(v, 2)::int8\" }\n",
    );
    for strategy in ["digest", "stream"] {
        let outcome = pair.compare(&spec, &["--strategy", strategy, "-vv"]);
        assert_eq!(outcome.findings(), ["t mismatch {\"id\":\"8\"} v: \"7\" | \"8\""]);
        let undecided = outcome.balances().exits(3).records("undecided");
        assert_eq!(undecided.len(), 1, "{undecided:?}");
        assert_eq!(undecided[0]["range"]["after"]["id"], "1233", "{undecided:?}");
        assert_eq!(undecided[0]["range"]["through"]["id"], "1234", "{undecided:?}");
        assert_eq!(outcome.mapping()["books"]["source"]["read"], 2999);
        // The server's message quotes the value; the program's outputs do not.
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.contains("ecret"), "{text}");
        }
    }
}

/// Rows that the failed side has not sent would be reported as missing, as they once were: while
/// one side reports its failure, the other continues to send rows.
#[test]
fn a_side_that_fails_mid_range_has_not_sent_all_its_rows() {
    let pair = Pair::new(
        &format!("{} update t set v = 'no number' where id = 5000;", table(10_000)),
        &format!("{} update t set v = '-1';", table(10_000)),
    );
    pair.sql(Side::Source, "update t set v = id where id <> 5000");
    let spec = pair.spec(&format!(
        "{SPEC}[mapping.columns]\nv = {{ sql = \"v::int\", target_sql = \"v::int\" }}\n"
    ));
    for _ in 0..3 {
        let outcome = pair.compare(&spec, &["--strategy", "digest", "--chunk-rows", "1000"]);
        let undecided = outcome.records("undecided");
        assert_eq!(undecided.len(), 1, "{undecided:?}");
        let range = &undecided[0]["range"];
        assert_eq!(
            (&range["after"]["id"], &range["through"]["id"]),
            (&"4999".into(), &"5000".into())
        );
        assert_eq!(outcome.balances().exits(3).mapping()["mismatch"], 9_999);
    }
}

/// A comparison that waits for a lock would block the application behind it.
#[test]
fn a_locked_table_is_waited_for_at_most_a_second() {
    let pair = Pair::new(&table(100), &table(100));
    let spec = pair.spec(SPEC);
    let url = pair.clusters.source.url("postgres", &pair.database);
    let (locked, lock) = std::sync::mpsc::channel();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let holder = std::thread::spawn(move || hold_lock(&url, &locked, released));
    lock.recv().unwrap();
    let mut running = pair
        .program()
        .args(&["compare", spec.to_str().unwrap(), "--settle", "0s", "--format", "jsonl", "-v"])
        .start();
    // While the program is refused, nothing else delays an ALTER TABLE that waits for the lock.
    running.await_line("lock timeout");
    release.send(()).unwrap();
    holder.join().unwrap();
    running.finish().balances().exits(0);
}

#[test]
fn a_table_that_stays_locked_ends_its_own_mapping_only() {
    let both = format!("{}create table u (id int primary key);", table(100));
    let pair = Pair::new(&both, &both);
    let spec = pair.spec(&format!("{SPEC}{}", SPEC.replace("public.t", "public.u")));
    let url = pair.clusters.source.url("postgres", &pair.database);
    let (locked, lock) = std::sync::mpsc::channel();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let holder = std::thread::spawn(move || hold_lock(&url, &locked, released));
    lock.recv().unwrap();
    let outcome = pair.compare(&spec, &["--jobs", "1"]);
    release.send(()).unwrap();
    holder.join().unwrap();
    outcome.balances().exits(3);
    let complete: Vec<_> =
        outcome.records("mapping").iter().map(|m| m["complete"].clone()).collect();
    assert_eq!(complete, [false, true], "{}", outcome.stderr);
}

#[tokio::main(flavor = "current_thread")]
async fn hold_lock(
    url: &str,
    locked: &std::sync::mpsc::Sender<()>,
    released: tokio::sync::oneshot::Receiver<()>,
) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("begin; lock table t in access exclusive mode").await.unwrap();
    locked.send(()).unwrap();
    released.await.unwrap();
    client.batch_execute("commit").await.unwrap();
}

/// A migration on one table would end the comparison of all others.
#[test]
fn a_dropped_column_marks_only_its_mapping() {
    let both = format!(
        "{}create table u as select * from t; alter table u add primary key (id);",
        table(2_000)
    );
    let pair = Pair::new(&both, &both);
    let spec = pair.spec(&format!("{SPEC}{}", SPEC.replace("public.t", "public.u")));
    let mut running = pair
        .program()
        .args(&["compare", spec.to_str().unwrap(), "--settle", "0s", "--format", "jsonl", "-vv"])
        .args(&["--chunk-rows", "10", "--jobs", "1"])
        .start();
    running.await_line("chunk=20 ");
    pair.sql(Side::Target, "alter table t drop column v");
    let outcome = running.finish();
    outcome.balances().exits(3);
    let mappings = outcome.records("mapping");
    assert_eq!(mappings[0]["complete"], false, "{mappings:?}");
    assert!(mappings[0]["reason"].as_str().unwrap().contains("does not exist"), "{mappings:?}");
    assert_eq!((&mappings[1]["mapping"], &mappings[1]["complete"]), (&"u".into(), &true.into()));
}

/// A truncated report would be taken for a complete one.
#[test]
fn a_full_disk_keeps_the_old_report_and_ends_incomplete() {
    let pair = Pair::new(&table(3_000), "create table t (id int primary key, v text)");
    let spec = pair.spec(SPEC);
    let report = pair.scratch.file("report.jsonl", "old\n");
    // A limit on the size of files simulates a full disk.
    let program = format!(
        "trap '' XFSZ; ulimit -f 8; exec '{}' compare '{}' --settle 0s --report '{}' --quiet",
        env!("CARGO_BIN_EXE_pgreconcile"),
        spec.display(),
        report.display()
    );
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &program])
        .env("PGRECONCILE_LEDGER", "off")
        .env("SOURCE_URL", pair.url(Side::Source))
        .env("TARGET_URL", pair.url(Side::Target))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("report.jsonl cannot be written"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&report).unwrap(), "old\n");
    let left = std::fs::read_dir(pair.scratch.path()).unwrap().count();
    assert_eq!(left, 2, "half a report is left behind");
}

#[test]
fn only_selects_are_sent_while_comparing() {
    let own = Own::start();
    for (_, cluster) in own.clusters.iter() {
        cluster.sql("postgres", "alter system set log_statement = 'all'");
        cluster.sql("postgres", "select pg_reload_conf()");
        cluster.sql("postgres", "select 'marker' || '-1'");
    }
    own.program().run().exits(1);
    for (side, cluster) in own.clusters.iter() {
        let log = cluster.log();
        let ours = log.split("'marker' || '-1'").nth(1).expect("the marker");
        let statements = ours.lines().filter_map(|line| {
            line.split_once("statement: ").or_else(|| line.split_once("<unnamed>: "))
        });
        let mut count = 0;
        for (_, statement) in statements {
            count += 1;
            let allowed =
                ["begin isolation level repeatable read read only", "select", "with", "commit"];
            assert!(allowed.iter().any(|word| statement.starts_with(word)), "{side}: {statement}");
        }
        assert!(count > 100, "{side}: {count} statements");
    }
}
