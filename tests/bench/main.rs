//! Whole-process times against floors, on throwaway data: `just bench`, or
//! `cargo bench --bench workloads -- --only W2,W2d --scale 0.1 --rounds 5 --json`.
//!
//! Everything is a ratio within one run, since absolute times mean nothing on shared machines. The
//! runs of a workload are interleaved, round by round, and the table shows medians.
//!
//! Floor D is the very digest that a comparison asks for, as one statement a side, both at once. Floor
//! S is both tables copied out in binary at once. No tool that hashes on the server, or streams, can
//! be faster than its floor. Floor L is the missing rows put in by one COPY, which guards nothing.

#![expect(
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a bench's modules are its own, and a panic there is the failure"
)]

mod many;
mod pace;
#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of the tests has more than a bench needs"
)]
mod support;
mod workload;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use support::{Cluster, Settings};
use workload::Workload;

/// Times comparisons against their floors.
#[derive(Parser)]
struct Args {
    /// Only these workloads: W1, W2, W2d, W3, W4, W4h, pace, many
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rows, as a share of the full size
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Rounds of which the median is taken
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// One JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// What cargo passes on
    #[arg(long, hide = true)]
    bench: bool,
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
}

/// One timed process.
struct Sample {
    wall: Duration,
    peak_kib: u64,
}

fn main() {
    let args = Args::parse();
    let cluster = Cluster::start(Settings(
        "shared_buffers = 6GB\njit = off\nautovacuum = off\nmax_wal_size = 16GB\ncheckpoint_timeout = 1h",
    ));
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let mut results = BTreeMap::new();
    for workload in Workload::ALL.iter().filter(|workload| wanted(workload.name)) {
        eprintln!("{}: filling {}", workload.name, workload.shape);
        workload.fill(&cluster, args.scale);
        let mut samples: BTreeMap<Runner, Vec<Sample>> = BTreeMap::new();
        // One round warms up.
        for round in 0..=args.rounds {
            for runner in workload.runners() {
                let sample = workload.time(&cluster, runner);
                if round > 0 {
                    samples.entry(runner).or_default().push(sample);
                }
            }
        }
        results.insert(workload.name, samples);
        workload.drop(&cluster);
    }
    let pace = wanted("pace").then(|| {
        eprintln!("pace: pgbench beside a comparison");
        pace::measure(&cluster, args.scale, args.rounds)
    });
    let many = wanted("many").then(|| {
        eprintln!("many: checking specs of many mappings");
        many::measure(&cluster, args.scale, args.rounds)
    });
    if args.json {
        print_json(&results, pace.as_ref(), many.as_deref());
    } else {
        print_table(&results, &args);
        pace.iter().for_each(print_pace);
        many.iter().for_each(|many| print_many(many));
    }
}

#[expect(clippy::print_stdout, reason = "a bench tells its result")]
fn print_pace(pace: &pace::Pace) {
    println!("\npgbench beside compare --jobs 1: alone, beside, alone, kept, control");
    for round in &pace.rounds {
        let pace::Round { before, beside, after } = *round;
        let (kept, control) = (round.kept(), round.control());
        println!("{before:>10.0} {beside:>10.0} {after:>10.0} {kept:>6.2} {control:>6.2}");
    }
    let (kept, control) = (pace.median(pace::Round::kept), pace.median(pace::Round::control));
    let oldest = pace.oldest;
    println!(
        "median kept {kept:.2}, control {control:.2}, oldest transaction of ours {oldest:.2} s"
    );
}

#[expect(clippy::print_stdout, reason = "a bench tells its result")]
fn print_many(plannings: &[many::Planning]) {
    println!("\ncheck of many mappings: mappings, seconds, ms a mapping, peak MiB");
    for planning in plannings {
        let (mappings, seconds) = (planning.mappings, planning.seconds());
        let each = seconds * 1e3 / mappings as f64;
        println!("{mappings:>10} {seconds:>10.2} {each:>10.2} {:>10}", planning.peak_kib() / 1024);
    }
}

type Results = BTreeMap<&'static str, BTreeMap<Runner, Vec<Sample>>>;

fn median(samples: &[Sample]) -> f64 {
    let mut walls: Vec<f64> = samples.iter().map(|sample| sample.wall.as_secs_f64()).collect();
    walls.sort_by(f64::total_cmp);
    walls[walls.len() / 2]
}

/// The floor that a runner is held against.
fn floor(runner: Runner) -> Runner {
    match runner {
        Runner::FloorStream | Runner::Stream | Runner::Repair => Runner::FloorStream,
        Runner::FloorLoad | Runner::Psql | Runner::Apply => Runner::FloorLoad,
        _ => Runner::FloorDigest,
    }
}

#[expect(clippy::print_stdout, reason = "a bench tells its result")]
fn print_table(results: &Results, args: &Args) {
    println!(
        "\nmedians of {} interleaved rounds at {} of the full size\n",
        args.rounds, args.scale
    );
    println!("{:<5} {:<16} {:>8} {:>10} {:>9}", "", "", "seconds", "× floor", "peak MiB");
    for (name, samples) in results {
        for (runner, times) in samples {
            let ratio = median(times) / median(&samples[&floor(*runner)]);
            let peak = times.iter().map(|sample| sample.peak_kib).max().unwrap_or(0);
            let ours = floor(*runner) != *runner;
            println!(
                "{name:<5} {:<16} {:>8.2} {:>10} {:>9}",
                runner.name(),
                median(times),
                if ours { format!("{ratio:.2}") } else { String::new() },
                if ours { (peak / 1024).to_string() } else { String::new() },
            );
        }
    }
    if let (Some(clean), Some(dirty)) = (results.get("W2"), results.get("W2d")) {
        let ratio = |runner| median(&dirty[&runner]) / median(&clean[&runner]);
        println!(
            "\nW2d over clean W2: digest {:.2}, stream {:.2}",
            ratio(Runner::Digest),
            ratio(Runner::Stream)
        );
    }
}

#[expect(clippy::print_stdout, reason = "a bench tells its result")]
fn print_json(results: &Results, pace: Option<&pace::Pace>, many: Option<&[many::Planning]>) {
    let workload = |samples: &BTreeMap<Runner, Vec<Sample>>| {
        let runner = |(runner, times): (&Runner, &Vec<Sample>)| {
            let walls: Vec<f64> = times.iter().map(|sample| sample.wall.as_secs_f64()).collect();
            let peak = times.iter().map(|sample| sample.peak_kib).max();
            let record = serde_json::json!({
                "seconds": walls,
                "median": median(times),
                "over_floor": median(times) / median(&samples[&floor(*runner)]),
                "peak_kib": peak,
            });
            (runner.name().to_owned(), record)
        };
        samples.iter().map(runner).collect::<serde_json::Map<_, _>>()
    };
    let mut all: serde_json::Map<_, _> = results
        .iter()
        .map(|(name, samples)| ((*name).to_owned(), workload(samples).into()))
        .collect();
    if let Some(pace) = pace {
        let record = serde_json::json!({
            "tps": pace.rounds,
            "kept": pace.median(pace::Round::kept),
            "control": pace.median(pace::Round::control),
            "oldest_seconds": pace.oldest,
        });
        all.insert("pace".to_owned(), record);
    }
    if let Some(many) = many {
        let record = |planning: &many::Planning| {
            serde_json::json!({
                "mappings": planning.mappings,
                "median": planning.seconds(),
                "peak_kib": planning.peak_kib(),
            })
        };
        all.insert("many".to_owned(), many.iter().map(record).collect());
    }
    println!("{}", serde_json::Value::Object(all));
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

/// The most memory that a process has had resident, in KiB.
fn peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
