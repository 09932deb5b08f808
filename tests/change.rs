//! Change under way: tables that are altered, rewritten, swapped or made anew while they are read,
//! servers that are promoted or change places. The mapping is marked with its reason, the others go
//! on, and nothing is said by comparing what was with what is.

use pgreconcile::schema::Side;

use crate::support::{Outcome, Pair};

/// Two tables a side; `u` is there to show that the others go on.
fn table(rows: u32) -> String {
    format!(
        "create table t (id int primary key, v text);
         insert into t select n, 'v' || n from generate_series(1, {rows}) n;
         create table u as select * from t; alter table u add primary key (id); analyze;"
    )
}

const MAPPING: &str =
    "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n";

/// Compares `t` and `u` and lets something happen to `t` in the middle of it.
fn compare_while(pair: &Pair, flags: &[&str], happens: impl FnOnce()) -> Outcome {
    let spec = pair.spec(&format!("{MAPPING}{}", MAPPING.replace("public.t", "public.u")));
    let flags = [&["-vv", "--chunk-rows", "10", "--jobs", "1"][..], flags].concat();
    let mut running = pair.comparing(&spec, &flags).start();
    running.await_line("chunk=20 ");
    happens();
    running.finish()
}

/// The first mapping is marked with this reason and has no findings; the second is whole.
fn marked(outcome: &Outcome, reason: &str) {
    outcome.balances().exits(3);
    assert_eq!(outcome.findings(), Vec::<String>::new(), "{}", outcome.stderr);
    let mappings = outcome.records("mapping");
    let said = mappings[0]["reason"].as_str().unwrap();
    assert!(said.contains(reason), "{said}");
    assert_eq!(mappings[0]["complete"], false, "{mappings:?}");
    assert!(mappings[0]["coverage"].as_f64().unwrap() < 1.0, "{mappings:?}");
    assert_eq!((&mappings[1]["mapping"], &mappings[1]["complete"]), (&"u".into(), &true.into()));
}

/// Without a look at the catalog after each chunk, rows of the old table and of the new one would add
/// up to one answer.
#[test]
fn a_table_that_is_altered_made_anew_or_swapped_marks_its_mapping() {
    for (side, change, reason) in [
        (Side::Target, "alter table t add column w int", "target has changed under way: column \"w\" is new"),
        (Side::Source, "alter table t drop column v", "column \"v\" does not exist any more"),
        (Side::Source, "alter table t alter column v type varchar(40)", "column \"v\" was text and is character varying(40)"),
        (
            Side::Target,
            "begin; alter table t drop column v; alter table t add column v text; update t set v = 'v' || id; commit",
            "column \"v\" was dropped and made again",
        ),
        (Side::Source, "alter table t rename to old", "does not exist any more"),
        (
            Side::Target,
            "begin; alter table t rename to old; create table t as select * from old; alter table t add primary key (id);
             grant select on t to reader; commit",
            "what is read was dropped and made again",
        ),
    ] {
        let pair = Pair::new(&table(2_000), &table(2_000));
        let outcome = compare_while(&pair, &[], || drop(pair.sql(side, change)));
        marked(&outcome, reason);
    }
}
