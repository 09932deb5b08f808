//! The whole key space in slices: the ledger stores what was verified when, and each slice takes
//! the ranges that were unverified for longest.

use std::path::{Path, PathBuf};

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::{MAPPING, Outcome, Pair, Program, refused};

/// 20,000 rows on each side, of which every five hundredth takes some time.
fn pair() -> Pair {
    let table = "create table t (id int primary key, v int); \
                 insert into t select n, n from generate_series(1, 20000) n; analyze t;";
    Pair::new(table, table)
}

const SLOW: &str = "public.t\"\nwhere = \"id % 500 <> 0 or pg_sleep(0.06) is not null\"\n";

fn spec(pair: &Pair) -> PathBuf {
    pair.spec(&MAPPING.replace("public.t\"\n", SLOW))
}

fn slice(pair: &Pair, spec: &Path, flags: &[&str]) -> Outcome {
    let how = ["--slice", "--chunk-rows", "500", "--jobs", "1", "-vv"];
    comparing(pair, spec, &[&how, flags].concat()).run()
}

fn comparing(pair: &Pair, spec: &Path, flags: &[&str]) -> Program {
    pair.comparing(spec, flags).without("PGRECONCILE_LEDGER")
}

fn history(pair: &Pair) -> Value {
    let program = pair.program().without("PGRECONCILE_LEDGER");
    let told = program.args(&["history", "spec.toml", "--format", "json"]).run();
    serde_json::from_str(&told.exits(0).stdout).unwrap()
}

/// The share that was verified in all of these slices.
fn verified(pair: &Pair) -> f64 {
    let history = history(pair);
    let shares = history["verified"].as_array().unwrap().iter();
    shares.map(|part| part["share"].as_f64().unwrap()).fold(0.0, f64::max)
}

fn keys(outcome: &Outcome) -> Vec<String> {
    let findings = outcome.records("finding");
    let mut keys: Vec<_> = findings.iter().map(|told| told["key"]["id"].to_string()).collect();
    keys.sort();
    keys
}

#[test]
fn slices_come_to_all_of_it_and_each_takes_the_oldest() {
    let pair = pair();
    pair.sql(Side::Target, "update t set v = 0 where id in (300, 19300)");
    let spec = spec(&pair);
    let deadline = &["--deadline", "2800ms"];
    let (mut rounds, mut found) = (0, Vec::new());
    let (mut rows, mut before) = (0, 0);
    while rounds == 0 || verified(&pair) < 1.0 {
        let outcome = slice(&pair, &spec, deadline);
        let mapping = outcome.balances().mapping();
        assert!(outcome.code == 0 || outcome.code == 1, "{outcome:?}");
        assert_eq!(mapping["complete"], true);
        before = rows;
        rows += mapping["rows"]["source"].as_u64().unwrap();
        let coverage = mapping["coverage"].as_f64().unwrap();
        assert!(coverage > 0.0 && coverage < 1.0, "{mapping} {}", outcome.stderr);
        assert!(outcome.records("run")[0]["slice"] == true);
        // Findings of an earlier slice are rechecked, and reported once.
        let now = keys(&outcome);
        assert!(found.iter().all(|key| now.contains(key)), "{found:?} {now:?}");
        found = now;
        rounds += 1;
        assert!(rounds < 20);
    }
    assert!(rounds > 2, "{rounds}");
    assert_eq!(found, ["\"19300\"", "\"300\""]);
    // No row was scanned again before all were scanned; apart from that, found keys were rechecked.
    assert!(before < 20_000 + 2 * rounds && rows >= 20_000, "{before} {rows} in {rounds} slices");
    // Then it starts with the oldest again.
    pair.sql(Side::Target, "update t set v = id");
    let again = slice(&pair, &spec, deadline);
    assert_eq!(again.exits(0).mapping()["healed"], 2);
    let whole = comparing(&pair, &spec, &[]).run();
    whole.exits(0);
    assert_eq!(verified(&pair), 1.0);
    assert_eq!(history(&pair)["verified"].as_array().unwrap().len(), 1);
}

/// If the spec names no key, the target's primary key is used: what was verified by the previous
/// key would be taken for verified in the ranges of the next.
#[test]
fn what_was_verified_by_another_key_counts_for_nothing() {
    let table = "create table t (id int primary key, v int not null unique); \
                 insert into t select n, 20001 - n from generate_series(1, 20000) n; analyze t;";
    let pair = Pair::new(table, table);
    let spec = spec(&pair);
    comparing(&pair, &spec, &[]).run().exits(0);
    assert_eq!(verified(&pair), 1.0);
    pair.sql(
        Side::Target,
        "alter table t drop constraint t_pkey; alter table t drop constraint t_v_key;
         alter table t add primary key (v)",
    );
    slice(&pair, &spec, &["--deadline", "2800ms"]).exits(0);
    assert!(verified(&pair) < 1.0, "{}", history(&pair));
}

/// A slice that has read nothing would be reported as clean: until it reads something it continues
/// to its deadline, and is then as incomplete as any run.
#[test]
fn a_slice_that_came_to_nothing_is_not_clean() {
    let pair = pair();
    let spec = pair.spec(&format!("[pace]\npause_file = \"pause\"\n{MAPPING}"));
    pair.scratch.file("pause", "");
    let outcome = slice(&pair, &spec, &["--deadline", "2s"]);
    let mapping = outcome.exits(3).balances().mapping();
    assert_eq!(mapping["reason"], "the deadline was reached");
    assert_eq!(mapping["coverage"], 0.0);
}

/// Findings of an earlier slice would be counted again by each later one.
#[test]
fn a_slice_without_a_deadline_takes_all_and_counts_once() {
    let pair = pair();
    pair.sql(
        Side::Target,
        "update t set v = 0 where id = 300; delete from t where id between 1000 and 1005; \
         insert into t values (-1, 1); analyze t",
    );
    let spec = pair.spec(MAPPING);
    let whole = comparing(&pair, &spec, &["--ledger", "whole.db"]).run();
    for heals in [false, true] {
        let outcome = slice(&pair, &spec, &[]);
        let essence = |outcome: &Outcome| {
            let mapping = outcome.balances().mapping();
            (outcome.findings(), mapping["rows"].clone(), mapping["books"].clone())
        };
        assert_eq!(essence(outcome.exits(1)), essence(&whole), "{heals}");
        assert_eq!(outcome.mapping()["coverage"], 1.0);
    }
    pair.sql(Side::Target, "update t set v = id where id = 300; insert into t values (1003, 1003)");
    let outcome = slice(&pair, &spec, &[]);
    let mapping = outcome.exits(1).balances().mapping();
    assert_eq!((&mapping["healed"], &mapping["rows"]["target"]), (&2.into(), &19_996.into()));
    assert_eq!(keys(&outcome).len(), 6);
}

/// A one-sided range would be counted twice: it is read key by key or as a whole, whatever was
/// rechecked in it before.
#[test]
fn one_sided_keys_found_before_are_reported_once() {
    let table = "create table t (id int primary key, v int); \
                 insert into t select n, n from generate_series(1, 1000) n where n % 2 = 0; analyze t;";
    let pair = Pair::new(table, "create table t (id int primary key, v int)");
    let spec = pair.spec(MAPPING);
    for (more, rows) in
        [("select 1", 500), ("insert into t select n, n from generate_series(1, 39, 2) n", 520)]
    {
        pair.sql(Side::Source, more);
        let outcome = slice(&pair, &spec, &[]);
        let mapping = outcome.exits(1).balances().mapping();
        assert_eq!(outcome.findings().len(), rows);
        assert_eq!(mapping["only_in_source"], rows);
        assert_eq!(mapping["books"]["source"]["read"], rows);
    }
}

/// A recheck from the beginning would be used although it is old when the scan reaches the row.
#[test]
fn a_key_that_differs_after_its_recheck_is_reported() {
    let pair = pair();
    let spec = spec(&pair);
    let (spoil, heal) = ("update t set v = 0 where id = 19300", "update t set v = id");
    pair.sql(Side::Target, spoil);
    assert_eq!(keys(slice(&pair, &spec, &[]).exits(1)), ["\"19300\""]);
    pair.sql(Side::Target, heal);
    let flags = ["--slice", "--chunk-rows", "500", "--jobs", "1", "-vv"];
    let mut running = comparing(&pair, &spec, &flags).start();
    running.await_line("chunk=2 ");
    pair.sql(Side::Target, spoil);
    let outcome = running.finish();
    assert_eq!(keys(outcome.exits(1)), ["\"19300\""]);
    assert_eq!(outcome.balances().mapping()["healed"], 0);
}

/// Findings of a slice would be lost: a partial run in between has no record of their keys.
#[test]
fn findings_of_a_slice_are_rechecked_until_all_are() {
    let pair = pair();
    pair.sql(Side::Target, "update t set v = 0 where id = 300");
    let spec = spec(&pair);
    let deadline = &["--deadline", "2800ms"];
    assert_eq!(keys(slice(&pair, &spec, deadline).exits(1)), ["\"300\""]);
    comparing(&pair, &spec, &["--sample", "5%"]).run().exits(0);
    let outcome = slice(&pair, &spec, deadline);
    assert!(outcome.mapping()["coverage"].as_f64().unwrap() < 1.0);
    assert_eq!(keys(outcome.exits(1)), ["\"300\""]);
}

#[test]
fn one_sided_ranges_come_first_and_stay_one_finding() {
    let pair = pair();
    pair.sql(Side::Target, "delete from t where id between 3000 and 14999; analyze t");
    let spec = pair.spec(MAPPING);
    let first = slice(&pair, &spec, &[]);
    assert_eq!(first.exits(1).findings().len(), 1);
    let second = slice(&pair, &spec, &[]);
    assert_eq!(second.exits(1).findings(), first.findings());
    second.balances();
}

#[test]
fn mappings_of_one_run_take_turns_by_age() {
    let pair = pair();
    for side in Side::BOTH {
        pair.sql(side, "create table u as table t; alter table u add primary key (id); analyze u");
        pair.grant(side);
    }
    let both = format!("{}{}", MAPPING, MAPPING.replace("public.t", "public.u"));
    let slow = &SLOW["public.t".len()..];
    let spec = pair.spec(&both.replace("\"\n", slow));
    let deadline = &["--deadline", "2800ms"];
    let scanned = |outcome: &Outcome, index: u32| {
        outcome.stderr.contains(&format!("chunk finished mapping={index} "))
    };
    let first = slice(&pair, &spec, deadline);
    assert!(scanned(&first, 0) && !scanned(&first, 1), "{first:?}");
    // The second mapping was never compared, nor the rest of the first; in the end both are.
    let mut second = false;
    for _ in 0..20 {
        second |= scanned(&slice(&pair, &spec, deadline), 1);
        if verified(&pair) >= 1.0 && second {
            return;
        }
    }
    panic!("the second mapping is never scanned: {}", history(&pair));
}

#[test]
fn a_slice_needs_a_ledger_and_goes_with_no_other_choice_of_keys() {
    let pair = pair();
    let spec = pair.spec(MAPPING);
    let none = slice(&pair, &spec, &["--ledger", "off"]);
    assert!(refused(&none)[0].hint.contains("--slice needs a ledger"), "{none:?}");
    for other in [&["--sample", "5%"][..], &["--since", "1h"], &["--resume"]] {
        assert!(refused(&slice(&pair, &spec, other))[0].headline.contains("cannot be used with"));
    }
    // An interrupted slice is not a run that can be resumed.
    let slow = self::spec(&pair);
    let mut run = comparing(&pair, &slow, &["--slice", "--chunk-rows", "500", "-vv"]).start();
    run.await_line("chunk finished");
    run.signal("INT");
    run.finish().exits(3);
    let next = comparing(&pair, &slow, &["--resume"]).run();
    assert!(next.exits(0).stderr.contains("no run was interrupted"), "{next:?}");
}

/// A slice would skip earlier findings without reporting this and the reason.
#[test]
fn what_cannot_be_rechecked_first_is_reported() {
    let table = "create table t (id text collate \"und-x-icu\" primary key, v int);
        insert into t select 'k' || n, n from generate_series(1, 100) n; analyze t;";
    let pair = Pair::new(table, table);
    pair.sql(Side::Target, "update t set v = 0 where id in ('k3', 'k7')");
    let redacted = "[mapping.columns]\nid = { from = \"id\", redact = true }\n";
    for (more, why) in [
        ("", "the order of the keys is known to the servers only"),
        (redacted, "their key is redacted"),
    ] {
        let spec = pair.spec(&format!("{MAPPING}{more}"));
        let slice = || {
            let program = comparing(&pair, &spec, &["--slice", "--jobs", "1"]);
            program.env("PGRECONCILE_REDACT_KEY", "a secret of the test").run()
        };
        let first = slice();
        assert_eq!(first.exits(1).mapping().get("not_recalled"), None);
        let second = slice();
        let left = serde_json::json!({ "findings": 2, "why": why });
        assert_eq!(second.exits(1).balances().mapping()["not_recalled"], left);
        let program = pair.program().without("PGRECONCILE_LEDGER").current_dir(pair.scratch.path());
        let program = program.env("PGRECONCILE_REDACT_KEY", "a secret of the test");
        let people = program.args(&["compare", "spec.toml", "--settle", "0s", "--slice"]).run();
        let said = format!("2 earlier findings not rechecked first: {why}");
        assert!(people.exits(1).stdout.replace("\n  ", " ").contains(&said), "{}", people.stdout);
    }
}

/// A gate would take a table that was hardly started for nearly verified.
#[test]
fn the_share_that_a_slice_has_verified_is_that_of_all_rows() {
    let pair = pair();
    let spec = spec(&pair);
    let mut rows = 0;
    for _ in 0..2 {
        let outcome = slice(&pair, &spec, &["--deadline", "2800ms"]);
        let mapping = outcome.exits(0).mapping();
        let read = mapping["rows"]["source"].as_u64().unwrap();
        let share = read as f64 / 20_000.0;
        let coverage = mapping["coverage"].as_f64().unwrap();
        assert!((coverage - share).abs() < 0.05, "{mapping}");
        rows += read;
        let verified = verified(&pair);
        assert!((verified - (rows as f64 / 20_000.0).min(1.0)).abs() < 0.05, "{verified} {rows}");
    }
}
