//! Whole-process times against floors, on throwaway data: `just bench`, or
//! `cargo bench --bench workloads -- --only W2,W2d --scale 0.1 --rounds 5 --json`.
//!
//! Everything is a ratio within one run, since absolute times mean nothing on shared machines. The
//! runs of a workload are interleaved, round by round, and the table shows medians. With
//! `--against PATH` an older program runs in the same rounds, and a second table shows new/old.
//!
//! Floor D is the digest of a comparison, as one statement on each side, both at once. Floor S is a
//! binary COPY of both tables, both at once. No tool that hashes on the server, or streams, can
//! be faster than its floor. Floor L is the missing rows inserted by one COPY, without any guard.

#![expect(
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a bench's modules are its own, and a panic there is the failure"
)]

mod many;
mod output;
mod pace;
mod program;
mod statistics;
#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of the tests has more than a bench needs"
)]
mod support;
mod workload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use program::{Build, Program, alternated};
use support::{Cluster, Settings};
use workload::Workload;

/// Times comparisons against their floors.
#[derive(Parser)]
struct Args {
    /// Measure only these
    #[arg(long, value_delimiter = ',',
          value_parser = ["W1", "W2", "W2d", "W3", "W4", "W4h", "pace", "many"])]
    only: Vec<String>,
    /// Rows, as a share of the full size
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Rounds of which the median is taken
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Another build of pgreconcile, timed in the same rounds
    #[arg(long, value_name = "PATH", value_parser = executable)]
    against: Option<PathBuf>,
    /// One JSON object instead of the tables
    #[arg(long)]
    json: bool,
    /// What cargo passes on
    #[arg(long, hide = true)]
    bench: bool,
}

/// Returns the absolute path of a program that runs.
fn executable(path: &str) -> Result<PathBuf, String> {
    let path = std::fs::canonicalize(path).map_err(|error| error.to_string())?;
    let status = Command::new(&path).arg("--version").stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(path),
        Ok(status) => Err(format!("--version ended with {status}")),
        Err(error) => Err(error.to_string()),
    }
}

/// What is timed within one workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Runner {
    FloorDigest,
    FloorStream,
    FloorLoad,
    Digest,
    Stream,
    Repair,
    Psql,
    Apply,
    Expand,
}

impl Runner {
    fn name(self) -> &'static str {
        match self {
            Runner::FloorDigest => "floor D",
            Runner::FloorStream => "floor S",
            Runner::FloorLoad => "floor L",
            Runner::Digest => "digest",
            Runner::Stream => "stream",
            Runner::Repair => "repair",
            Runner::Psql => "psql -f",
            Runner::Apply => "apply --execute",
            Runner::Expand => "digest --expand",
        }
    }

    /// Returns the floor with which it is compared. A floor is its own floor.
    fn floor(self) -> Runner {
        match self {
            Runner::FloorStream | Runner::Stream | Runner::Repair => Runner::FloorStream,
            Runner::FloorLoad | Runner::Psql | Runner::Apply => Runner::FloorLoad,
            _ => Runner::FloorDigest,
        }
    }

    fn is_floor(self) -> bool {
        self.floor() == self
    }
}

/// One timed process.
struct Sample {
    wall: Duration,
    peak_kib: u64,
}

/// The times of each runner, by program. Floors are timed once a round, with the new program.
type Times = BTreeMap<(Runner, Build), Vec<Sample>>;

/// Everything that was measured.
struct Measured {
    workloads: BTreeMap<&'static str, Times>,
    pace: BTreeMap<Build, pace::Pace>,
    many: BTreeMap<Build, Vec<many::Planning>>,
}

fn main() {
    let args = Args::parse();
    let rounds = args.rounds as usize;
    let cluster = Cluster::start(Settings(
        "shared_buffers = 6GB\njit = off\nautovacuum = off\nmax_wal_size = 16GB\ncheckpoint_timeout = 1h",
    ));
    let programs = Program::all(&cluster, args.against.as_deref());
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let mut measured =
        Measured { workloads: BTreeMap::new(), pace: BTreeMap::new(), many: BTreeMap::new() };
    for workload in Workload::ALL.iter().filter(|workload| wanted(workload.name)) {
        eprintln!("{}: filling {}", workload.name, workload.shape);
        workload.fill(&cluster, &programs, args.scale);
        let times = measure(workload, &cluster, &programs, rounds);
        measured.workloads.insert(workload.name, times);
        workload.drop(&cluster);
    }
    if wanted("pace") {
        eprintln!("pace: pgbench beside a comparison");
        measured.pace = pace::measure(&cluster, &programs, args.scale, rounds);
    }
    if wanted("many") {
        eprintln!("many: checking specs of many mappings");
        measured.many = many::measure(&cluster, &programs, args.scale, rounds);
    }
    if args.json {
        output::print_json(&measured);
    } else {
        output::print_tables(&measured, rounds, args.scale);
    }
}

/// Times everything of one workload, round by round.
fn measure(workload: &Workload, cluster: &Cluster, programs: &[Program], rounds: usize) -> Times {
    let mut times = Times::new();
    // The first round is a warm-up.
    for round in 0..=rounds {
        for runner in workload.runners() {
            let programs = if runner.is_floor() { &programs[..1] } else { programs };
            for program in alternated(programs, round) {
                let sample = workload.time(cluster, program, runner);
                if round > 0 {
                    times.entry((runner, program.build)).or_default().push(sample);
                }
            }
        }
    }
    times
}

/// Runs processes at once, and times them from the first start to the last end.
fn timed(mut commands: Vec<Command>, codes: &[i32]) -> Sample {
    let started = Instant::now();
    let children = commands.iter_mut().map(|command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a process starts")
    });
    let mut children: Vec<_> = children.collect();
    let mut peak_kib = 0;
    for child in &mut children {
        let status = loop {
            // The peak is read while the process is there: the kernel keeps it until it is reaped.
            peak_kib = peak_kib.max(peak_of(child.id()));
            if let Some(status) = child.try_wait().expect("a process ends") {
                break status;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        };
        let code = status.code().unwrap_or(-1);
        assert!(codes.contains(&code), "exit code {code}");
    }
    Sample { wall: started.elapsed(), peak_kib }
}

/// Returns the most memory that a process has had resident, in KiB.
fn peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
