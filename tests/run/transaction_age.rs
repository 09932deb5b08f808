//! No transaction of the program is open for long where its rows can be read in parts: while it is
//! open, no busy table can be vacuumed. The manual promises a bound of 5 s.

use pgreconcile::schema::Side;

use crate::support::{Outcome, Pair};

const MAPPING: &str = "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n\
     where = \"id % 20 <> 0 or pg_sleep((select pause from public.pace)) is not null\"\n\
     [mapping.target]\ntable = \"public.t\"\n";

const EMPTY: &str = "create table t (id int primary key, v text);
    create table pace as select 0::float8 as pause;";

fn filled(rows: u32, value: &str) -> String {
    format!("{EMPTY} insert into t select n, {value} from generate_series(1, {rows}) n; analyze t;")
}

/// Compares in one chunk, which is quick. Then runs this on source and target; from now on the
/// source takes so many milliseconds for each twentieth row.
fn slowed(pair: &Pair, millis: u32, changes: [&str; 2]) -> Outcome {
    let spec = pair.spec(MAPPING);
    let flags = ["--chunk-rows", "100000", "--settle", "2s", "--format", "jsonl", "-vv"];
    let program = pair.program().args(&["compare", spec.to_str().unwrap()]);
    let mut run = program.args(&flags).start();
    run.await_line("chunk finished");
    pair.sql(Side::Source, changes[0]);
    pair.sql(Side::Target, changes[1]);
    pair.sql(Side::Source, &format!("update pace set pause = {millis} / 1000.0"));
    run.finish()
}

/// Asserts that it was slow for longer than one transaction may last, and that none was open so
/// long.
fn in_short_transactions(outcome: &Outcome) {
    let summary = &outcome.records("summary")[0];
    let longest = summary["longest_transaction_ms"].as_u64().expect("a time");
    assert!(longest < 5_000, "{longest} ms");
    assert!(summary["elapsed_ms"].as_u64() > Some(6_000), "{summary}");
}

#[test]
fn a_long_range_is_rechecked_in_parts() {
    let pair = Pair::new(&filled(10_100, "'v' || n"), EMPTY);
    let outcome = slowed(&pair, 12, ["", ""]);
    outcome.balances().exits(1);
    in_short_transactions(&outcome);
    let found = outcome.records("finding");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["rows"], 10_100);
}

/// The keys of a long range would be read in one long transaction: they are read right after the
/// chunk, by a statement that differs from the chunk's in what it counts.
#[test]
fn the_keys_of_a_long_range_are_read_in_parts() {
    let pair = Pair::new(&filled(10_100, "'v' || n"), EMPTY);
    pair.sql(Side::Source, "update pace set pause = 0.012");
    let slow = "id % 20 <> 0 or position('log.coun' || 't(' in current_query()) > 0 or";
    let spec = pair.spec(&MAPPING.replace("id % 20 <> 0 or", slow));
    let flags = ["--chunk-rows", "100000", "--expand", "--keys-only"];
    let outcome = pair.compare(&spec, &flags);
    outcome.balances().exits(1);
    in_short_transactions(&outcome);
    assert_eq!(outcome.findings().len(), 10_100);
}

#[test]
fn a_range_that_the_other_side_has_by_now_is_compared_in_parts() {
    let pair = Pair::new(&filled(10_100, "'v' || n"), EMPTY);
    let change = "insert into t select n, 'v' || n from generate_series(1, 10100) n";
    let outcome = slowed(&pair, 12, ["", change]);
    outcome.balances().exits(0);
    in_short_transactions(&outcome);
}

#[test]
fn slow_keys_are_rechecked_in_smaller_batches() {
    let pair = Pair::new(&filled(1_000, "'v' || n"), &filled(1_000, "'w' || n"));
    let outcome = slowed(&pair, 240, ["", ""]);
    outcome.balances().exits(1);
    in_short_transactions(&outcome);
    assert_eq!(outcome.findings().len(), 1_000);
}

/// Rows would be undecided although there is time to compare them.
#[test]
fn a_range_that_cannot_be_cut_may_take_its_time() {
    let pair = Pair::new(&filled(10_100, "'v' || n"), EMPTY);
    let few = "insert into t select n, 'v' || n from generate_series(1, 100) n";
    let outcome = slowed(&pair, 1_200, ["delete from t where id > 100", few]);
    outcome.balances().exits(0);
    assert_eq!(outcome.mapping()["rows"]["target"], 100);
}

/// A table read in blocks would be read in one transaction: 60,000 rows under random keys take
/// fewer blocks than a first block range has.
#[test]
fn a_table_that_is_read_in_blocks_is_read_in_parts() {
    let table = "create table t (id uuid primary key, v text);
        insert into t select md5(n::text)::uuid, 'v' || n from generate_series(1, 60000) n;
        analyze t;";
    let pair = Pair::new(table, table);
    let spec = pair.spec(
        "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n\
         where = \"get_byte(uuid_send(id), 0) > 0 or pg_sleep(0.03) is not null\"\n\
         [mapping.target]\ntable = \"public.t\"\n",
    );
    let outcome = pair.compare(&spec, &[]);
    outcome.balances().exits(0);
    in_short_transactions(&outcome);
    assert_eq!(outcome.mapping()["rows"]["source"], 60_000);
}
