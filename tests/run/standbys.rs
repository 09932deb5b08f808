//! A standby that cancels every query that conflicts with its replay, beside a primary that is
//! updated and vacuumed all the time: runs are slower there, and as exact as elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Cluster, Outcome, Program, Scratch, Settings, fault};

/// 40,000 rows read by ranges, and 10,000 whose key has no order on disk, read by blocks.
const TABLES: &str = "
    create table t (id int primary key, v text, n int not null);
    insert into t select n, 'v' || n, n from generate_series(1, 40000) n;
    create table u (id uuid primary key, v text);
    insert into u select md5(n::text)::uuid, 'v' || n from generate_series(1, 10000) n;
    analyze;";

/// What the source lacks: a range that is read as a whole, and some rows.
const DIFFERENCES: &str = "
    delete from t where id between 10001 and 22000 or id = 777;
    update t set v = 'x' where id in (1, 25000, 40000);
    delete from u where id = md5('6')::uuid; update u set v = 'x' where id = md5('5')::uuid;";

const EXPECTED: [&str; 7] = [
    "t mismatch {\"id\":\"1\"}",
    "t mismatch {\"id\":\"25000\"}",
    "t mismatch {\"id\":\"40000\"}",
    "t only_in_target {\"after\":{\"id\":\"10000\"},\"through\":{\"id\":\"22000\"}}",
    "t only_in_target {\"id\":\"777\"}",
    "u mismatch {\"id\":\"e4da3b7f-bbce-2345-d777-2b0674a318d5\"}",
    "u only_in_target {\"id\":\"1679091c-5a88-0faf-6fb5-e6087eb1b2dc\"}",
];

/// Creates dead rows and removes them: each vacuum conflicts with queries on the standby.
const CHURN: &str = "
    update t set n = n where id % 50 = (random() * 49)::int; vacuum t;
    update u set v = v where v like '%7'; vacuum u;";

/// The number of cancels after which the loop ends, and the longest time that it waits for them.
const CANCELS: u64 = 12;
const PATIENCE: Duration = Duration::from_secs(60);

const SPEC: &str = "version = 1\nname = \"standby\"\n[source]\nurl = \"${SOURCE_URL}\"\n\
    [target]\nurl = \"${TARGET_URL}\"\n[compare]\nsettle = \"1s\"\n\
    [[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n\
    [[mapping]]\nsource.table = \"public.u\"\ntarget.table = \"public.u\"\n";

/// Queries that the standby has cancelled.
fn cancels(standby: &Cluster) -> u64 {
    let asked = "select sum(confl_snapshot + confl_lock + confl_bufferpin + confl_deadlock)
                 from pg_stat_database_conflicts";
    // The standby may cancel this query, too.
    let url = standby.url("postgres", "postgres");
    let answer = (0..1_000).find_map(|_| standby.try_sql(&url, asked));
    answer.expect("an answer").parse().expect("a number")
}

/// The findings of a whole JSON document, with their places.
fn found(outcome: &Outcome) -> Vec<String> {
    let document: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", outcome.stdout, outcome.stderr));
    assert_eq!(document["summary"]["complete"], true, "{document:#}\n{}", outcome.stderr);
    let told = |finding: &Value| {
        let place = if finding["key"].is_null() { &finding["range"] } else { &finding["key"] };
        let text = |field: &str| finding[field].as_str().unwrap().to_owned();
        format!("{} {} {place}", text("mapping"), text("kind"))
    };
    let mut found: Vec<String> =
        document["findings"].as_array().unwrap().iter().map(told).collect();
    found.sort();
    found
}

/// `PGRECONCILE_STANDBY_MINUTES` sets how long it runs.
#[test]
fn runs_beside_a_vacuumed_primary_are_complete_and_exact() {
    let minutes = std::env::var("PGRECONCILE_STANDBY_MINUTES").ok();
    let longer = minutes.map(|minutes| Duration::from_secs(60 * minutes.parse::<u64>().unwrap()));
    let (source, primary) = (Cluster::start(Settings("")), Cluster::start(Settings("")));
    for cluster in [&source, &primary] {
        cluster.sql("postgres", TABLES);
    }
    source.sql("postgres", DIFFERENCES);
    let standby = primary.standby(Settings(
        "max_standby_streaming_delay = 0\nhot_standby_feedback = off\nwal_receiver_status_interval = 1s",
    ));
    let scratch = Scratch::new();
    let spec = scratch.file("spec.toml", SPEC);
    let compare = |strategy: &str| {
        let program = Program::new()
            .env("SOURCE_URL", &source.url("postgres", "postgres"))
            .env("TARGET_URL", &standby.url("postgres", "postgres"));
        let program = program.args(&["compare", spec.to_str().unwrap(), "--strategy", strategy]);
        program.args(&["--format", "json", "--progress", "never", "-v"]).run()
    };
    let over = AtomicBool::new(false);
    let (began, mut runs) = (Instant::now(), 0);
    std::thread::scope(|scope| {
        // Ends the writer also when an assertion fails.
        struct Ends<'o>(&'o AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let _ends = Ends(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                primary.sql("postgres", CHURN);
            }
        });
        loop {
            for strategy in ["digest", "stream"] {
                let outcome = compare(strategy);
                assert_eq!(found(&outcome), EXPECTED, "{strategy}: {}", outcome.stderr);
                outcome.exits(1);
                runs += 1;
            }
            let (seen, elapsed) = (cancels(&standby), began.elapsed());
            let enough = seen >= CANCELS || elapsed >= PATIENCE;
            if longer.map_or(enough, |longer| elapsed >= longer) {
                break;
            }
        }
    });
    let seen = cancels(&standby);
    println!("{runs} runs, {seen} cancels in {:?}", began.elapsed());
    fault::STANDBY_CANCELS.tried(usize::try_from(seen).unwrap());
}
