//! A network that fails in the middle: silence, resets, truncated answers.
//!
//! In each case a range is compared exactly or is undecided. Rows that did not arrive are never
//! reported as missing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgreconcile::schema::Side;

use crate::support::{Fate, Outcome, Pair, Proxy, fault};

/// Two tables that differ in seven rows of three thousand.
fn pair() -> Pair {
    let table = "create table parcel (id int primary key, note text);
                 insert into parcel select n, repeat(md5(n::text), 4) from generate_series(1, 3000) n;
                 analyze parcel;";
    let pair = Pair::new(table, table);
    pair.sql(Side::Source, "delete from parcel where id in (1, 1500, 3000)");
    pair.sql(Side::Target, "delete from parcel where id = 700");
    pair.sql(Side::Target, "update parcel set note = id where id in (2, 900, 2900)");
    pair
}

fn spec(pair: &Pair) -> PathBuf {
    pair.spec(
        "[compare]\njobs = 1\nstatement_timeout = \"1s\"\n\
         [[mapping]]\nsource.table = \"public.parcel\"\ntarget.table = \"public.parcel\"\n",
    )
}

/// Compares with one side behind a proxy.
fn through(pair: &Pair, side: Side, proxy: &Proxy, strategy: &str) -> Outcome {
    let url = match side {
        Side::Source => "SOURCE_URL",
        Side::Target => "TARGET_URL",
    };
    pair.program()
        .env(url, &format!("{}&connect_timeout=2", proxy.url(&pair.database)))
        .args(&["compare", spec(pair).to_str().unwrap(), "--strategy", strategy])
        .args(&["--settle", "0s", "--format", "jsonl", "--progress", "never"])
        .args(&["--chunk-rows", "500"])
        .run()
}

/// The keys of the findings, with their kinds.
fn found(outcome: &Outcome) -> Vec<String> {
    let tell = |finding: &serde_json::Value| {
        format!("{} {}", finding["kind"].as_str().unwrap(), finding["key"]["id"].as_str().unwrap())
    };
    let mut found: Vec<String> = outcome.records("finding").iter().map(tell).collect();
    found.sort();
    found
}

const EXPECTED: [&str; 7] = [
    "mismatch 2",
    "mismatch 2900",
    "mismatch 900",
    "only_in_source 700",
    "only_in_target 1",
    "only_in_target 1500",
    "only_in_target 3000",
];

/// Returns whether the result is exact; otherwise it is an error before the first row. The program
/// does not guess the tables' definitions if a connection breaks while the catalog is read.
fn is_exact_or_trouble(outcome: &Outcome) -> bool {
    if outcome.code == 2 {
        assert_eq!(outcome.records("finding"), Vec::<serde_json::Value>::new());
        return false;
    }
    assert_eq!(found(outcome), EXPECTED, "{}", outcome.stderr);
    outcome.balances().exits(1);
    true
}

/// Where to cut an answer of this length: between messages and inside them, from front to back.
fn places((length, messages): &(usize, Vec<usize>), cuts: usize) -> Vec<usize> {
    (0..cuts)
        .map(|cut| {
            let at = length * (2 * cut + 1) / (2 * cuts);
            let message = messages.partition_point(|message| *message <= at);
            match (cut % 2, messages.get(message)) {
                (0, Some(boundary)) => *boundary,
                _ => at,
            }
        })
        .collect()
}

#[test]
fn an_answer_cut_short_is_never_a_row_that_is_missing() {
    const CUTS: usize = 25;
    let pair = pair();
    let (mut cuts, mut survived) = (0, 0);
    for strategy in ["stream", "digest"] {
        for side in Side::BOTH {
            let whole = Proxy::start(&pair.clusters[side], |_| Fate::Pass);
            assert!(is_exact_or_trouble(&through(&pair, side, &whole, strategy)));
            for (number, after) in places(&whole.received(0), CUTS).into_iter().enumerate() {
                let reset = number % 3 == 0;
                let proxy =
                    Proxy::start(&pair.clusters[side], move |connection| match connection {
                        0 => Fate::Cut { after, reset },
                        _ => Fate::Pass,
                    });
                let compared = is_exact_or_trouble(&through(&pair, side, &proxy, strategy));
                survived += usize::from(compared && proxy.connections() > 1);
                cuts += 1;
            }
        }
    }
    // A few cuts fall into the catalog's answers, or behind the last one; the others had to be
    // retried.
    assert!(survived > cuts * 3 / 4, "{survived} of {cuts} cuts were survived");
    fault::ANSWER_CUT.tried(cuts);
}

/// A short network failure would end a run before it has started.
#[test]
fn a_connection_lost_during_planning_is_replaced() {
    let pair = pair();
    let spec = spec(&pair);
    for side in Side::BOTH {
        let check = |proxy: &Proxy| {
            let variable = if side == Side::Source { "SOURCE_URL" } else { "TARGET_URL" };
            let program = pair.program().env(variable, &proxy.url(&pair.database));
            program.args(&["check", spec.to_str().unwrap()]).run()
        };
        let whole = Proxy::start(&pair.clusters[side], |_| Fate::Pass);
        check(&whole).exits(0);
        for tenths in [4, 7, 9] {
            let after = whole.received(0).0 * tenths / 10;
            let proxy = Proxy::start(&pair.clusters[side], move |connection| match connection {
                0 => Fate::Cut { after, reset: tenths == 7 },
                _ => Fate::Pass,
            });
            check(&proxy).exits(0);
            assert!(proxy.connections() > 1, "{side} {tenths}");
        }
        // The program does not wait for an unreachable server.
        let gone = Proxy::start(&pair.clusters[side], |_| Fate::Cut { after: 0, reset: true });
        check(&gone).exits(2);
        assert_eq!(gone.connections(), 1);
    }
}

/// Log lines would mix with the lines that replace the progress bar: both go to stderr.
#[test]
fn a_retry_is_reported_once() {
    let pair = pair();
    let whole = Proxy::start(&pair.clusters.source, |_| Fate::Pass);
    assert!(is_exact_or_trouble(&through(&pair, Side::Source, &whole, "digest")));
    let after = whole.received(0).0 * 9 / 10;
    for (flag, said) in [("-v", "WARN retrying"), ("--color=never", "retrying: source: ")] {
        let proxy = Proxy::start(&pair.clusters.source, move |connection| match connection {
            0 => Fate::Cut { after, reset: true },
            _ => Fate::Pass,
        });
        let program = pair.program().env("SOURCE_URL", &proxy.url(&pair.database));
        let spec = spec(&pair);
        let program = program.args(&["compare", spec.to_str().unwrap(), "--strategy", "digest"]);
        let program = program.args(&["--settle", "0s", "--chunk-rows", "500", flag]);
        let outcome = program.args(&["--progress", "always"]).run();
        let told: Vec<&str> =
            outcome.exits(1).stderr.lines().filter(|line| line.contains("retrying")).collect();
        assert!(!told.is_empty(), "{}", outcome.stderr);
        assert!(told.iter().all(|line| line.contains(said)), "{told:#?}");
    }
}

#[test]
fn a_server_that_falls_silent_is_detected_and_queried_again() {
    let pair = pair();
    let mut silences = 0;
    for (strategy, side) in [("stream", Side::Source), ("digest", Side::Target)] {
        let whole = Proxy::start(&pair.clusters[side], |_| Fate::Pass);
        assert!(is_exact_or_trouble(&through(&pair, side, &whole, strategy)));
        let after = whole.received(0).0 * 9 / 10;
        let proxy = Proxy::start(&pair.clusters[side], move |connection| match connection {
            0 => Fate::Silent { after },
            _ => Fate::Pass,
        });
        let start = Instant::now();
        assert!(is_exact_or_trouble(&through(&pair, side, &proxy, strategy)));
        assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
        assert!(proxy.connections() > 1);
        silences += 1;
    }
    fault::SERVER_SILENT.tried(silences);
}

/// A run would wait for ever for a server that accepts connections and does not answer.
#[test]
fn a_silent_server_fails_within_the_connect_timeout() {
    let pair = pair();
    let proxy = Proxy::start(&pair.clusters.source, |_| Fate::Silent { after: 0 });
    let start = Instant::now();
    let outcome = through(&pair, Side::Source, &proxy, "stream");
    outcome.exits(2);
    assert!(outcome.stderr.contains("127.0.0.1"), "{}", outcome.stderr);
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

/// A job with a deadline would run past it.
#[test]
fn a_server_silent_during_planning_delays_no_deadline() {
    let pair = pair();
    let text = std::fs::read_to_string(spec(&pair)).unwrap();
    let planning = Proxy::start(&pair.clusters.source, |_| Fate::Silent { after: 2_000 });
    let spec = pair.scratch.file("soon.toml", &text.replace("jobs = 1", "deadline = \"500ms\""));
    let earlier = pair.scratch.file("report.json", "{}");
    let outcome = pair
        .program()
        .env("SOURCE_URL", &planning.url(&pair.database))
        .args(&["compare", spec.to_str().unwrap(), "--report", earlier.to_str().unwrap()])
        .run();
    outcome.exits(3);
    let said = "error: the deadline was reached before the first row was read\n";
    assert!(outcome.stderr.starts_with(said), "{}", outcome.stderr);
    // A reader of the report must see that it is from another run.
    assert!(outcome.stderr.contains("No report was written"), "{}", outcome.stderr);
    assert_eq!(std::fs::read_to_string(&earlier).unwrap(), "{}");
}
