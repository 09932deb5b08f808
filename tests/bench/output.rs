//! Tables and JSON of what was measured.

use serde_json::{Map, Value, json};

use crate::program::Build;
use crate::statistics::{Ratio, median};
use crate::{Measured, Runner, Sample, Times, many, pace};

fn seconds(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(|sample| sample.wall.as_secs_f64()).collect()
}

fn peak_kib(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0)
}

/// Returns the median of a runner with the new program.
fn median_of(times: &Times, runner: Runner) -> f64 {
    median(&seconds(&times[&(runner, Build::New)]))
}

/// Returns the runners of the new program, with their samples.
fn new_times(times: &Times) -> impl Iterator<Item = (Runner, &Vec<Sample>)> {
    times
        .iter()
        .filter(|((_, build), _)| *build == Build::New)
        .map(|((runner, _), all)| (*runner, all))
}

/// What both programs did, compared: above 1 the new one is worse.
struct Comparison {
    workload: String,
    what: String,
    ratio: Ratio,
    peak_kib: Option<(u64, u64)>,
}

/// Returns everything in which both programs were measured; nothing without `--against`.
fn comparisons(measured: &Measured) -> Vec<Comparison> {
    let of_samples = |workload: &str, what: &str, old: &[Sample], new: &[Sample]| Comparison {
        workload: workload.to_owned(),
        what: what.to_owned(),
        ratio: Ratio::of(&seconds(old), &seconds(new)),
        peak_kib: Some((peak_kib(old), peak_kib(new))),
    };
    let mut all = Vec::new();
    for (workload, times) in &measured.workloads {
        for (runner, new) in new_times(times) {
            if let Some(old) = times.get(&(runner, Build::Old)) {
                all.push(of_samples(workload, runner.name(), old, new));
            }
        }
    }
    if let (Some(old), Some(new)) = (measured.many.get(&Build::Old), measured.many.get(&Build::New))
    {
        for (old, new) in old.iter().zip(new) {
            let what = format!("check {}", new.mappings);
            all.push(of_samples("many", &what, &old.samples, &new.samples));
        }
    }
    if let (Some(old), Some(new)) = (measured.pace.get(&Build::Old), measured.pace.get(&Build::New))
    {
        // The share that the application loses, so that a value above 1 is worse here too.
        let slowdown = |round: pace::Round| 1.0 / round.kept();
        all.push(Comparison {
            workload: "pace".to_owned(),
            what: "slowdown".to_owned(),
            ratio: Ratio::of(&old.shares(slowdown), &new.shares(slowdown)),
            peak_kib: None,
        });
    }
    all
}

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
pub(crate) fn print_tables(measured: &Measured, rounds: usize, scale: f64) {
    println!("\nmedians of {rounds} interleaved rounds at {scale} of the full size\n");
    print_floors(measured);
    if let Some(pace) = measured.pace.get(&Build::New) {
        print_pace(pace);
    }
    if let Some(plannings) = measured.many.get(&Build::New) {
        print_many(plannings);
    }
    let comparisons = comparisons(measured);
    if !comparisons.is_empty() {
        print_comparisons(&comparisons);
    }
}

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
fn print_floors(measured: &Measured) {
    let results = &measured.workloads;
    if results.is_empty() {
        return;
    }
    println!("{:<5} {:<16} {:>8} {:>10} {:>9}", "", "", "seconds", "× floor", "peak MiB");
    for (name, times) in results {
        for (runner, samples) in new_times(times) {
            let seconds = median_of(times, runner);
            let (ratio, peak) = if runner.is_floor() {
                (String::new(), String::new())
            } else {
                let ratio = seconds / median_of(times, runner.floor());
                (format!("{ratio:.2}"), (peak_kib(samples) / 1024).to_string())
            };
            println!("{name:<5} {:<16} {seconds:>8.2} {ratio:>10} {peak:>9}", runner.name());
        }
    }
    if let (Some(clean), Some(dirty)) = (results.get("W2"), results.get("W2d")) {
        let ratio = |runner| median_of(dirty, runner) / median_of(clean, runner);
        let (digest, stream) = (ratio(Runner::Digest), ratio(Runner::Stream));
        println!("\nW2d over clean W2: digest {digest:.2}, stream {stream:.2}");
    }
}

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
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

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
fn print_many(plannings: &[many::Planning]) {
    println!("\ncheck of many mappings: mappings, seconds, ms a mapping, peak MiB");
    for planning in plannings {
        let (mappings, median) = (planning.mappings, median(&seconds(&planning.samples)));
        let each = median * 1e3 / mappings as f64;
        let peak = peak_kib(&planning.samples) / 1024;
        println!("{mappings:>10} {median:>10.2} {each:>10.2} {peak:>10}");
    }
}

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
fn print_comparisons(comparisons: &[Comparison]) {
    println!(
        "\nold and new program: medians, their ratio, the middle half of the rounds' ratios\n"
    );
    println!(
        "{:<5} {:<16} {:>9} {:>9} {:>8} {:>12} {:>15}",
        "", "", "old", "new", "new/old", "rounds", "peak MiB"
    );
    for Comparison { workload, what, ratio, peak_kib } in comparisons {
        let (old, new, value) = (ratio.old, ratio.new, ratio.value());
        let rounds = format!("{:.2} to {:.2}", ratio.rounds.0, ratio.rounds.1);
        let peak = peak_kib
            .map_or_else(String::new, |(old, new)| format!("{} and {}", old / 1024, new / 1024));
        println!(
            "{workload:<5} {what:<16} {old:>9.3} {new:>9.3} {value:>8.3} {rounds:>12} {peak:>15}"
        );
    }
    let highest =
        comparisons.iter().max_by(|one, other| one.ratio.value().total_cmp(&other.ratio.value()));
    if let Some(Comparison { workload, what, ratio, .. }) = highest {
        println!("\nhighest ratio: {:.3}, {workload} {what}", ratio.value());
    }
}

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
pub(crate) fn print_json(measured: &Measured) {
    let workload = |times: &Times| {
        let runner = |(runner, samples): (Runner, &Vec<Sample>)| {
            let record = json!({
                "seconds": seconds(samples),
                "median": median_of(times, runner),
                "over_floor": median_of(times, runner) / median_of(times, runner.floor()),
                "peak_kib": peak_kib(samples),
            });
            (runner.name().to_owned(), record)
        };
        new_times(times).map(runner).collect::<Map<_, _>>()
    };
    let results = measured.workloads.iter();
    let mut all: Map<String, Value> =
        results.map(|(name, times)| ((*name).to_owned(), workload(times).into())).collect();
    if let Some(pace) = measured.pace.get(&Build::New) {
        let record = json!({
            "tps": pace.rounds,
            "kept": pace.median(pace::Round::kept),
            "control": pace.median(pace::Round::control),
            "oldest_seconds": pace.oldest,
        });
        all.insert("pace".to_owned(), record);
    }
    if let Some(plannings) = measured.many.get(&Build::New) {
        let record = |planning: &many::Planning| {
            json!({
                "mappings": planning.mappings,
                "median": median(&seconds(&planning.samples)),
                "peak_kib": peak_kib(&planning.samples),
            })
        };
        all.insert("many".to_owned(), plannings.iter().map(record).collect());
    }
    let comparisons = comparisons(measured);
    if !comparisons.is_empty() {
        let record = |comparison: &Comparison| {
            let ratio = comparison.ratio;
            json!({
                "workload": comparison.workload,
                "what": comparison.what,
                "old": ratio.old,
                "new": ratio.new,
                "ratio": ratio.value(),
                "rounds": [ratio.rounds.0, ratio.rounds.1],
                "peak_kib": comparison.peak_kib,
            })
        };
        all.insert("against".to_owned(), comparisons.iter().map(record).collect());
    }
    println!("{}", Value::Object(all));
}
