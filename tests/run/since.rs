//! `--since`: only keys whose row changed recently on either side are compared, each of them on
//! both sides, and every output reports this.

use pgreconcile::schema::Side;

use crate::support::{Pair, strategies};

/// 1,000 rows that changed a week ago; every other one of them differs from the other side's.
const TABLE: &str = "create table t (id int primary key, v text, at timestamptz);
    insert into t select n, 'v' || n, now() - interval '7 days' from generate_series(1, 1000) n;";
const MAPPING: &str = "[[mapping]]\nsource.table = \"public.t\"\nsource.changed_at = \"at\"\n\
    target.table = \"public.t\"\ntarget.changed_at = \"at\"\n";

/// The ways in which a key can be recent, and differences among old rows.
fn written(pair: &Pair) {
    pair.sql(
        Side::Source,
        "update t set at = now() where id between 11 and 40;
         update t set v = 'young here' , at = now() where id in (21, 22);
         insert into t values (2001, 'new', now()), (2002, 'new on both', now());
         update t set v = 'old and different' where id between 500 and 600;
         delete from t where id = 31;",
    );
    pair.sql(
        Side::Target,
        "update t set at = now() where id between 31 and 60;
         update t set v = 'young there', at = now() where id in (51, 52);
         insert into t values (2002, 'new on both', now());
         delete from t where id in (12, 700);
         analyze t;",
    );
    pair.sql(Side::Source, "analyze t");
}

const FOUND: [&str; 7] = [
    "t mismatch {\"id\":\"21\"} v: \"young here\" | \"v21\"",
    "t mismatch {\"id\":\"22\"} v: \"young here\" | \"v22\"",
    "t mismatch {\"id\":\"51\"} v: \"v51\" | \"young there\"",
    "t mismatch {\"id\":\"52\"} v: \"v52\" | \"young there\"",
    "t only_in_source {\"id\":\"12\"}",
    "t only_in_source {\"id\":\"2001\"}",
    "t only_in_target {\"id\":\"31\"}",
];

/// The spec does not compare the time itself: it differs wherever a side is behind.
fn spec_of(pair: &Pair) -> std::path::PathBuf {
    pair.spec(&format!("{MAPPING}source.ignore = [\"at\"]\ntarget.ignore = [\"at\"]\n"))
}

#[test]
fn a_key_is_compared_if_its_row_is_recent_on_either_side() {
    for index in ["", "create index on t (at);"] {
        let pair = Pair::new(&format!("{TABLE}{index}"), &format!("{TABLE}{index}"));
        written(&pair);
        let spec = spec_of(&pair);
        for strategy in strategies() {
            for rows in [None, Some("1"), Some("7"), Some("100000")] {
                let mut flags = vec!["--since", "1h", "--strategy", strategy];
                flags.extend(rows.iter().flat_map(|rows| ["--chunk-rows", rows]));
                let outcome = pair.compare(&spec, &flags);
                assert_eq!(outcome.findings(), FOUND, "{index} {flags:?}");
                let mapping = outcome.balances().exits(1).mapping();
                // 11 to 40 and 31 to 60, without the deleted one of each, and the new ones.
                assert_eq!(mapping["rows"]["source"], 49 + 2, "{index} {flags:?}");
                assert_eq!(mapping["rows"]["target"], 49 + 1, "{index} {flags:?}");
                let coverage = mapping["coverage"].as_f64().unwrap();
                assert!((0.04..0.06).contains(&coverage), "{coverage}");
                assert_eq!(
                    (&mapping["complete"], &mapping["empty"]),
                    (&true.into(), &false.into())
                );
                assert_eq!(outcome.records("run")[0]["since"], "1h");
            }
        }
    }
}

#[test]
fn no_recent_rows_is_no_error_and_reported_as_such() {
    let pair = Pair::new(TABLE, &TABLE.replace("'v'", "'w'"));
    let spec = spec_of(&pair);
    let outcome = pair.compare(&spec, &["--since", "90m"]);
    let mapping = outcome.balances().exits(0).mapping();
    assert_eq!((&mapping["rows"]["source"], &mapping["coverage"]), (&0.into(), &0.0.into()));
    assert_eq!((&mapping["empty"], &mapping["complete"]), (&false.into(), &true.into()));
    let terminal = pair
        .program()
        .args(&["compare", spec.to_str().unwrap(), "--since", "90m", "--settle", "0s"])
        .run();
    let said = "only keys of rows that changed within 90m: the others were not compared, and \
                deletions are not found";
    assert!(terminal.exits(0).stdout.contains(said), "{}", terminal.stdout);
}

#[test]
fn a_side_without_a_time_of_change_is_refused() {
    let pair = Pair::new(TABLE, TABLE);
    let spec = pair.spec(&MAPPING.replace("target.changed_at = \"at\"\n", ""));
    let outcome = pair.compare(&spec, &["--since", "1h"]);
    outcome.exits(2);
    assert!(
        outcome.stderr.contains("does not say when target rows were changed"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("changed_at in [mapping.target]"), "{}", outcome.stderr);
    let spec = pair.spec(MAPPING);
    for (flags, why) in [
        (&["--since", "0s"][..], "nothing is younger"),
        (&["--since", "soon"], "write a number with a unit"),
        (&["--since", "1h", "--sample", "1%"], "cannot be used with"),
    ] {
        let outcome = pair.compare(&spec, flags);
        outcome.exits(2);
        assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
    }
}

/// Recent rows would be missed: times without a zone are in UTC, whatever the role's zone; a date
/// is recent if any of its day is.
#[test]
fn the_last_change_may_be_a_date_or_a_time_without_a_zone() {
    for (kind, now) in
        [("timestamp", "(now() at time zone 'UTC')"), ("date", "(now() at time zone 'UTC')::date")]
    {
        let table = TABLE.replace("at timestamptz", &format!("at {kind}"));
        let pair = Pair::new(&table, &table);
        pair.sql(
            Side::Source,
            &format!(
                "update t set v = 'x', at = {now} where id = 7; update t set v = 'x' where id = 8"
            ),
        );
        for (_, cluster) in pair.clusters.iter() {
            let zone = format!("alter database {} set timezone = 'Asia/Tokyo'", pair.database);
            cluster.sql("postgres", &zone);
        }
        let outcome = pair.compare(&spec_of(&pair), &["--since", "10m"]);
        assert_eq!(outcome.findings(), ["t mismatch {\"id\":\"7\"} v: \"x\" | \"v7\""], "{kind}");
    }
}

#[test]
fn since_covers_queries_groups_filters_and_duplicates() {
    let table = "create table t (id int, v text, g int, at timestamptz);
        insert into t select n, 'v' || n, n % 3, case when n % 10 = 0 then now() else now() - interval '7 days' end
        from generate_series(1, 300) n;";
    let pair = Pair::new(table, table);
    pair.sql(
        Side::Target,
        "insert into t select * from t where id = 30; update t set v = 'x' where id in (60, 61, 90); analyze t",
    );
    let query = "query = \"select id, v, g, at from public.t\"\nwhere = \"id <> 90\"\nchanged_at = \"at\"\nignore = [\"at\"]\n";
    let spec = pair.spec(&format!(
        "[[mapping]]\nname = \"t\"\nkey = [\"id\"]\ngroup_by = \"g\"\n[mapping.source]\n{query}[mapping.target]\n{query}"
    ));
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--since", "1h", "--strategy", strategy]);
        assert_eq!(
            outcome.findings(),
            [
                "t duplicate_key in \"0\" target {\"id\":\"30\"} 2",
                "t mismatch in \"0\" {\"id\":\"60\"} v: \"v60\" | \"x\"",
            ]
        );
        let mapping = outcome.balances().exits(1).mapping();
        assert_eq!(mapping["rows"]["source"], 29, "{mapping}");
    }
}

/// A run of recent changes would be the reference for the trend of a complete run.
#[test]
fn a_run_with_since_is_stored_as_such() {
    let pair = Pair::new(TABLE, TABLE);
    pair.sql(Side::Target, "update t set v = 'x', at = now() where id = 5");
    let spec = spec_of(&pair);
    let ledger = pair.scratch.path().join("ledger.db");
    let with = |verb: &str, flags: &[&str]| {
        pair.program()
            .without("PGRECONCILE_LEDGER")
            .args(&[verb, spec.to_str().unwrap(), "--ledger", ledger.to_str().unwrap()])
            .args(flags)
            .run()
    };
    let quick = ["--settle", "0s", "--quiet"];
    with("compare", &quick).exits(1);
    with("compare", &[&quick[..], &["--since", "1h"]].concat()).exits(1);
    pair.sql(Side::Target, "update t set v = 'v5' where id = 5");
    with("compare", &quick).exits(0);
    let history = with("history", &[]);
    assert!(history.stdout.contains("diverged (since"), "{}", history.stdout);
    let history: serde_json::Value =
        serde_json::from_str(&with("history", &["--format", "json"]).stdout).unwrap();
    let runs = history["runs"].as_array().unwrap();
    assert_eq!(
        (&runs[1]["since"], &runs[1]["trend"]["new"]),
        (&"1h".into(), &0.into()),
        "{history}"
    );
    // The trend of the last run refers to the complete run before it.
    assert_eq!(runs[2]["trend"]["gone"], 1, "{history}");
}
