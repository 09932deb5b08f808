//! `--sample`: some key ranges are compared, the others are not, and every output reports this.

use pgreconcile::schema::Side;

use crate::support::{Pair, strategies};

const TABLE: &str = "create table t (id int primary key, v text) with (autovacuum_enabled = off);
                     insert into t select n, 'v' || n from generate_series(1, 100000) n;";
const SPEC: &str = "[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n";

#[test]
fn a_sample_is_spread_evenly_and_can_be_repeated() {
    // With a histogram and without one.
    for analyze in ["analyze t;", ""] {
        let pair = Pair::new(&format!("{TABLE}{analyze}"), &format!("{TABLE}{analyze}"));
        pair.sql(Side::Target, "update t set v = 'x'");
        let spec = pair.spec(SPEC);
        for strategy in strategies() {
            let run = || pair.compare(&spec, &["--sample", "2%", "--strategy", strategy]);
            let outcome = run();
            let mapping = outcome.balances().exits(1).mapping();
            let (rows, coverage) = (&mapping["rows"]["source"], &mapping["coverage"]);
            let (rows, coverage) = (rows.as_u64().unwrap(), coverage.as_f64().unwrap());
            assert!((1_000..4_000).contains(&rows), "{rows} rows");
            assert!((0.01..0.04).contains(&coverage), "{coverage}");
            assert_eq!(mapping["complete"], true);
            assert_eq!(outcome.records("run")[0]["sample"], "2%");
            assert_eq!(outcome.findings(), run().findings(), "another sample");
            let keys = outcome.records("finding");
            let key = |finding: &serde_json::Value| {
                finding["key"]["id"].as_str().unwrap().parse::<u32>().unwrap()
            };
            let tenths: std::collections::BTreeSet<u32> =
                keys.iter().map(|finding| key(finding) / 10_001).collect();
            assert_eq!(tenths.len(), 10, "a tenth of the keys has no part in it");
        }
        let terminal = pair
            .program()
            .args(&["compare", spec.to_str().unwrap(), "--sample", "2%", "--settle", "0s"])
            .run();
        assert!(terminal.exits(1).stdout.contains("a sample of 2% of the keys"));
    }
}

#[test]
fn a_sample_of_a_table_smaller_than_a_range_is_all_of_it() {
    let pair = Pair::new(
        "create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b');",
        "create table t (id int primary key, v text); insert into t values (1, 'a');",
    );
    let outcome = pair.compare(&pair.spec(SPEC), &["--sample", "1%"]);
    assert_eq!(outcome.exits(1).findings(), ["t only_in_source {\"id\":\"2\"}"]);
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let table = "create table t (id text collate \"und-x-icu\" primary key, v text);";
    let pair = Pair::new(table, &table.replace("und-x", "sv-x"));
    let outcome = pair.compare(&pair.spec(SPEC), &["--sample", "1%"]);
    outcome.exits(2);
    assert!(outcome.stderr.contains("cannot be sampled"), "{}", outcome.stderr);
    for share in ["0%", "101%", "1", "x%"] {
        let outcome = pair.compare(&pair.spec(SPEC), &["--sample", share]);
        outcome.exits(2);
        assert!(outcome.stderr.contains("for example 1%"), "{}", outcome.stderr);
    }
}

/// A sample would cover less than was requested, and report otherwise.
#[test]
fn a_sample_has_the_requested_share_whatever_the_chunks() {
    let table = "create table t (id int primary key, v text) with (autovacuum_enabled = off);
                 insert into t select n, 'v' || n from generate_series(1, 40000) n; analyze t;";
    let pair = Pair::new(table, table);
    pair.sql(Side::Target, "update t set v = 'x' where id % 10 = 0");
    let half = format!("{SPEC}source.where = \"id <= 20000\"\ntarget.where = \"id <= 20000\"\n");
    for (spec, most, shares) in [(SPEC, 40_000.0, &[10, 50, 90, 99][..]), (&half, 20_000.0, &[50])]
    {
        let spec = pair.spec(spec);
        for share in shares {
            for rows in [None, Some("40"), Some("1000")] {
                let sample = format!("{share}%");
                let mut flags = vec!["--sample", &sample];
                flags.extend(rows.iter().flat_map(|rows| ["--chunk-rows", rows]));
                let mapping = pair.compare(&spec, &flags).balances().exits(1).mapping();
                let asked = f64::from(*share) / 100.0;
                let read = mapping["rows"]["source"].as_f64().unwrap() / most;
                let told = mapping["coverage"].as_f64().unwrap();
                assert!((read - asked).abs() < 0.06, "{flags:?}: {read} was read");
                assert!((told - asked).abs() < 0.06, "{flags:?}: {told} was told");
            }
        }
    }
}
