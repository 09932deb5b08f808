//! A million rows, and kills of everything that can be killed: the program, a server, one of three
//! processes of a run. In the end the run reports what a run without kills reports.
//!
//! A seed determines where it is killed. It is printed with a failure; `KILLS_SEED` sets it again.

use std::path::PathBuf;

use pgreconcile::schema::{BySide, Side};
use serde_json::Value;

use crate::support::ledger_database::LedgerDatabase;
use crate::support::{Cluster, MAPPING, Outcome, Program, Running, Scratch, Settings, fault};

const ROWS: u32 = 1_000_000;
/// Every two thousandth row takes a little time: a run lasts long enough to be killed many times.
const SLOW: &str = "public.t\"\nwhere = \"id % 2000 <> 0 or pg_sleep(0.004) is not null\"\n";

/// Two servers of the test's own with a million rows each. A range exists on one side only.
struct Ground {
    clusters: BySide<Cluster>,
    scratch: Scratch,
    spec: PathBuf,
    whole: Essence,
}

/// The output of a run without times, durations and the number of its interruptions.
#[derive(Debug, PartialEq)]
struct Essence {
    findings: Vec<String>,
    mapping: Value,
}

fn essence(outcome: &Outcome) -> Essence {
    let mut mapping = outcome.balances().mapping();
    mapping["elapsed_ms"] = Value::Null;
    Essence { findings: outcome.findings(), mapping }
}

impl Ground {
    fn new() -> Ground {
        let clusters = BySide::new(|_| Cluster::start(Settings("")));
        let table = format!(
            "create table t (id int primary key, v int); \
             insert into t select n, n from generate_series(1, {ROWS}) n;"
        );
        clusters.source.sql("postgres", &format!("{table} vacuum analyze t; checkpoint"));
        clusters.target.sql(
            "postgres",
            &format!(
                "{table} delete from t where id between 400000 and 480000 or id % 99991 = 0; \
                 update t set v = -v where id % 33331 = 0; insert into t values (0, 0), (-7, 7); \
                 vacuum analyze t; checkpoint"
            ),
        );
        let scratch = Scratch::new();
        let head = "version = 1\nname = \"kills\"\n[source]\nurl = \"${SOURCE_URL}\"\n[target]\nurl = \"${TARGET_URL}\"\n";
        let text = format!("{head}{}", MAPPING.replace("public.t\"\n", SLOW));
        let spec = scratch.file("spec.toml", &text);
        let nothing = Essence { findings: Vec::new(), mapping: Value::Null };
        let mut ground = Ground { clusters, scratch, spec, whole: nothing };
        let whole = ground.begin("off", &[]).run();
        ground.whole = essence(whole.exits(1));
        assert!(ground.whole.findings.len() > 40, "{:?}", ground.whole);
        ground
    }

    fn begin(&self, ledger: &str, flags: &[&str]) -> Program {
        let url = |side: Side| self.clusters[side].url("postgres", "postgres");
        Program::new()
            .env("SOURCE_URL", &url(Side::Source))
            .env("TARGET_URL", &url(Side::Target))
            .env("PGRECONCILE_LEDGER", ledger)
            .current_dir(self.scratch.path())
            .args(&["compare", self.spec.to_str().unwrap(), "--settle", "0s", "--format", "jsonl"])
            .args(&["--progress", "never", "--chunk-rows", "5000", "-vv"])
            .args(flags)
    }
}

/// Random numbers from a seed.
struct Draw {
    seed: u64,
    state: u64,
}

impl Draw {
    fn new() -> Draw {
        let named = std::env::var("KILLS_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = named.unwrap_or(now.as_nanos() as u64);
        Draw { seed, state: seed }
    }

    /// Returns a number below this one (splitmix64).
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Waits until a run has logged so many lines with a word. Returns false if it ended before.
fn says(run: &mut Running, word: &str, times: u64) -> bool {
    (0..times).all(|_| run.says(word))
}

/// What was compared before a kill would be lost, counted twice or wrongly taken for compared.
#[test]
fn killing_the_program_twenty_times_changes_no_result() {
    let ground = Ground::new();
    let mut draw = Draw::new();
    let (mut kills, mut went_on) = (0, 0);
    let last = loop {
        let mut run = ground.begin("kills.db", &["--jobs", "2", "--resume"]).start();
        let words = ["chunk finished", "chunk started", "recheck started", "mapping resumed"];
        let word = words[draw.below(words.len() as u64) as usize];
        let times = 1 + if word == "mapping resumed" { 0 } else { draw.below(14) };
        let reached = kills < 20 && says(&mut run, word, times);
        if reached {
            run.signal("KILL");
            kills += 1;
        }
        let outcome = run.finish();
        went_on += u32::from(outcome.stderr.contains("mapping resumed"));
        if reached {
            continue;
        }
        // A run that was not killed has ended, and the next one starts from the beginning.
        assert_eq!(essence(outcome.exits(1)), ground.whole, "seed {}", draw.seed);
        if kills == 20 {
            break outcome;
        }
    };
    assert!(went_on >= 10, "seed {}: {went_on} went on", draw.seed);
    last.exits(1);
    fault::PROGRAM_KILLED.tried(kills);
}

/// Rows that a dying server did not send would be reported as missing.
#[test]
fn killing_the_servers_ten_times_changes_no_result() {
    let ground = Ground::new();
    let mut draw = Draw::new();
    let mut run = ground.begin("servers.db", &[]).start();
    let mut kills = 0;
    let last = loop {
        let times = 1 + draw.below(10);
        if kills < 10 && says(&mut run, "chunk finished", times) {
            let side = Side::BOTH[draw.below(2) as usize];
            ground.clusters[side].kill();
            ground.clusters[side].restart();
            kills += 1;
            continue;
        }
        let outcome = run.finish();
        if outcome.code != 3 {
            break outcome;
        }
        run = ground.begin("servers.db", &["--resume"]).start();
    };
    assert_eq!(essence(last.exits(1)), ground.whole, "seed {}", draw.seed);
    fault::SERVER_KILLED.tried(kills);
}

/// Ranges of a dead process would not be compared, or be counted twice.
#[test]
fn killing_processes_of_a_shared_run_changes_no_result() {
    let (ground, keeper) = (Ground::new(), LedgerDatabase::new());
    let mut draw = Draw::new();
    let begin = || ground.begin(&keeper.url(), &["--jobs", "1", "--run-id", "three"]).start();
    let mut three: Vec<Running> = (0..3).map(|_| begin()).collect();
    let mut kills = 0;
    while kills < 10 {
        let place = draw.below(3) as usize;
        let times = 1 + draw.below(6);
        assert!(says(&mut three[place], "chunk finished", times), "seed {} {kills}", draw.seed);
        three[place].signal("KILL");
        kills += 1;
        let dead = std::mem::replace(&mut three[place], begin());
        let _ = dead.finish();
    }
    let outcomes: Vec<Outcome> = three.into_iter().map(Running::finish).collect();
    let told: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| !outcome.stdout.is_empty()).collect();
    assert_eq!(told.len(), 1, "seed {} {outcomes:?}", draw.seed);
    assert_eq!(essence(told[0].exits(1)), ground.whole, "seed {}", draw.seed);
    assert!(outcomes.iter().all(|outcome| outcome.code == 1), "seed {}", draw.seed);
    fault::PROCESS_KILLED.tried(kills);
}
