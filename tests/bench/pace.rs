//! Which share of its throughput an application keeps while a comparison with `--jobs 1` runs.
//!
//! `pgbench` writes at full speed with four clients: alone, beside a comparison, and alone again.
//! The throughput beside the comparison is divided by the mean of the other two, because other work
//! on the machine varies. The ratio of the other two is the control: it shows the error of a round.
//! `pgbench` writes to the database that is compared, and autovacuum is on, so rows that a snapshot
//! keeps from being cleaned up slow it down. Each measurement begins with a vacuum and a
//! checkpoint.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pgreconcile::schema::Side;

use crate::program::{Build, Program, alternated};
use crate::statistics;
use crate::support::Cluster;
use crate::support::cluster::binaries;
use crate::workload::Workload;

/// What was measured beside one program.
#[derive(Default)]
pub(crate) struct Pace {
    pub(crate) rounds: Vec<Round>,
    /// The age of the program's oldest transaction that the server reported, in seconds.
    pub(crate) oldest: f64,
}

/// Transactions per second of the application.
#[derive(Clone, Copy, serde::Serialize)]
pub(crate) struct Round {
    pub(crate) before: f64,
    pub(crate) beside: f64,
    pub(crate) after: f64,
}

impl Round {
    /// Returns the share that the application keeps.
    pub(crate) fn kept(self) -> f64 {
        self.beside / f64::midpoint(self.before, self.after)
    }

    /// Returns the same share without a comparison beside it.
    pub(crate) fn control(self) -> f64 {
        self.after / self.before
    }
}

impl Pace {
    /// Returns a share of each round.
    pub(crate) fn shares(&self, of: fn(Round) -> f64) -> Vec<f64> {
        self.rounds.iter().copied().map(of).collect()
    }

    /// Returns the median of a share.
    pub(crate) fn median(&self, of: fn(Round) -> f64) -> f64 {
        statistics::median(&self.shares(of))
    }
}

/// Settings with which autovacuum runs several times in a measurement.
const VACUUMED: [&str; 3] = [
    "alter system set autovacuum = on",
    "alter system set autovacuum_naptime = '5s'",
    "select pg_reload_conf()",
];
const AS_BEFORE: [&str; 3] = [
    "alter system reset autovacuum",
    "alter system reset autovacuum_naptime",
    "select pg_reload_conf()",
];
/// Removes the dead rows of the measurement before.
const CLEAN: &str = "vacuum pgbench_accounts, pgbench_branches, pgbench_tellers";
/// The duration of one measurement.
const MEASURED: Duration = Duration::from_secs(20);

/// Measures beside comparisons of a workload's tables, by each program.
pub(crate) fn measure(
    cluster: &Cluster,
    programs: &[Program],
    scale: f64,
    rounds: usize,
) -> BTreeMap<Build, Pace> {
    let workload = Workload::ALL.iter().find(|workload| workload.name == "W2").expect("W2");
    workload.fill(cluster, programs, scale);
    let database = workload.database(Side::Source);
    let filled = pgbench(cluster, &database, &["-i", "-s", "10", "-q"]).status();
    let filled = filled.expect("pgbench");
    VACUUMED.iter().for_each(|setting| drop(cluster.sql("postgres", setting)));
    assert!(filled.success());
    let mut paces: BTreeMap<Build, Pace> = BTreeMap::new();
    // The first round is a warm-up.
    for round in 0..=rounds {
        for program in alternated(programs, round) {
            let (before, _) = throughput(cluster, &database, || None);
            let compare = || Some(workload.comparison(program));
            let (beside, oldest) = throughput(cluster, &database, compare);
            let (after, _) = throughput(cluster, &database, || None);
            if round > 0 {
                let pace = paces.entry(program.build).or_default();
                pace.rounds.push(Round { before, beside, after });
                pace.oldest = pace.oldest.max(oldest);
            }
        }
    }
    workload.drop(cluster);
    AS_BEFORE.iter().for_each(|setting| drop(cluster.sql("postgres", setting)));
    paces
}

fn pgbench(cluster: &Cluster, database: &str, flags: &[&str]) -> Command {
    let mut pgbench = Command::new(binaries().join("pgbench"));
    pgbench.arg("-h").arg(cluster.socket()).args(["-p", &cluster.port.to_string()]);
    pgbench.args(["-U", "postgres"]).args(flags).arg(database).stderr(Stdio::null());
    pgbench
}

/// Returns transactions per second, and the age of the program's oldest transaction, while
/// comparisons run one after the other.
fn throughput(
    cluster: &Cluster,
    database: &str,
    compare: impl Fn() -> Option<Command>,
) -> (f64, f64) {
    cluster.sql(database, CLEAN);
    cluster.sql(database, "checkpoint");
    let start = || compare().map(|mut program| program.spawn().expect("the program"));
    let mut comparing: Option<Child> = start();
    let seconds = MEASURED.as_secs().to_string();
    let application = pgbench(cluster, database, &["-n", "-c", "4", "-j", "1", "-T", &seconds])
        .stdout(Stdio::piped())
        .spawn()
        .expect("pgbench");
    let ages = "select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)
        from pg_stat_activity where application_name = 'pgreconcile/bench'";
    let (until, mut oldest) = (Instant::now() + MEASURED, 0.0_f64);
    while Instant::now() < until {
        oldest = oldest.max(cluster.sql("postgres", ages).parse().expect("an age"));
        let over = comparing.as_mut().map(|child| child.try_wait().expect("a child").is_some());
        if over == Some(true) {
            comparing = start();
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let output = application.wait_with_output().expect("pgbench");
    if let Some(mut child) = comparing {
        child.kill().expect("kill");
        child.wait().expect("its end");
    }
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let tps = printed.lines().find_map(|line| line.strip_prefix("tps = ")).expect("tps");
    (tps.split(' ').next().expect("a number").parse().expect("a number"), oldest)
}
