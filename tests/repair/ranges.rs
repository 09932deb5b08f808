//! Ranges: between their ends there may now be rows that no run has seen. Only rows that were
//! one-sided, and unchanged, at two rechecks are repaired.

use std::time::{Duration, Instant};

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, RoundTrip, same};
use crate::support::wait;

const TABLE: &str = "create table t (id bigint primary key, v text);";

/// Extra rows, with gaps for others between them.
fn round() -> RoundTrip {
    let fill = |rows: u32| {
        format!("{TABLE} insert into t select n * 2, 'v' || n from generate_series(1, {rows}) n;")
    };
    let round = RoundTrip::new(&fill(1), &fill(12_000), &same("public.t"));
    let told = round.compare();
    let findings = told.exits(1).findings();
    assert!(findings.len() == 1 && findings[0].contains("through"), "{findings:?}");
    round
}

/// Returns the keys in a folder's changes.
fn keys(round: &RoundTrip) -> Vec<u64> {
    let entries = std::fs::read_dir(round.path("r")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let texts = paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let texts: String = texts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let key = |line: &str| line.split_once("\"old\":[\"")?.1.split('"').next()?.parse().ok();
    texts.lines().filter_map(key).collect()
}

/// Rows in flight would be taken for differences: the target's writer is ahead of the source's, so
/// a row that it has just inserted is no difference, and neither is a row that it changes all the
/// time.
#[test]
fn rows_newer_than_the_compare_are_not_deleted() {
    let round = round();
    let settle = Duration::from_secs(2);
    let mut came: Vec<(u64, Instant)> = Vec::new();
    let mut write = || {
        let id = 10_001 + 2 * came.len() as u64;
        came.push((id, Instant::now()));
        let sql =
            format!("insert into t values ({id}, 'new'); update t set v = '{id}' where id = 11990");
        round.pair.sql(Side::Target, &sql);
    };
    write();
    let flags = ["--settle", "2s", "--kinds", "delete"];
    let told = std::thread::scope(|scope| {
        let repair = scope.spawn(|| round.repair("r", &flags));
        while !repair.is_finished() {
            write();
        }
        repair.join().unwrap()
    });
    let ended = Instant::now();
    assert!(told.exits(0).stdout.contains("not yet settled: recheck"), "{}", told.stdout);
    let keys = keys(&round);
    let young = came.iter().filter(|(_, at)| ended.duration_since(*at) < settle);
    let young: Vec<u64> = young.map(|(id, _)| *id).collect();
    assert!(young.len() > 2 && !keys.iter().any(|key| young.contains(key)), "{young:?}");
    assert!(!keys.contains(&11_990));
    assert!(keys.contains(&11_988) && keys.len() >= 11_998, "{}", keys.len());
    let _ = round.apply("r", &["--execute"]).exits(0);
    let rest = round.pair.sql(Side::Target, "select string_agg(id || ',' || v, ';') from t");
    for id in young {
        assert!(rest.contains(&format!("{id},new")), "{rest}");
    }
}

/// A row that the other side has by now would be deleted or inserted twice.
#[test]
fn what_both_sides_have_by_now_is_compared_and_not_repaired() {
    let round = round();
    round.pair.sql(
        Side::Source,
        "insert into t select n * 2, case when n = 500 then 'other' else 'v' || n end from generate_series(2, 6000) n",
    );
    let told = round.repair("r", &ALL);
    assert!(told.exits(0).stdout.contains("delete 6000 rows"), "{}", told.stdout);
    assert!(told.stdout.contains("already agree: 5998 rows"), "{}", told.stdout);
    let why = "1 row of another difference than was found: compare again";
    assert!(told.stdout.contains(why), "{}", told.stdout);
}

/// A finding that has changed would be repaired although it was seen only once.
#[test]
fn a_row_that_differs_otherwise_now_is_left_to_the_next_run() {
    let fill = |v: &str, more: &str| {
        format!("{TABLE} insert into t values (1, '{v}'), (2, 'b'), (3, '{v}'){more};")
    };
    let round =
        RoundTrip::new(&fill("a", ", (4, 'd')"), &fill("x", ", (5, 'e')"), &same("public.t"));
    assert_eq!(round.compare().exits(1).findings().len(), 4);
    round.pair.sql(Side::Source, "delete from t where id = 1; insert into t values (5, 'f')");
    round.pair.sql(Side::Target, "insert into t values (4, 'g')");
    let told = round.repair("r", &ALL);
    let why = "3 rows of another difference than was found: compare again";
    assert!(told.exits(0).stdout.contains(why), "{}", told.stdout);
    assert!(told.stdout.contains("update 1 row of"), "{}", told.stdout);
    assert!(!told.stdout.contains("delete") && !told.stdout.contains("insert"), "{}", told.stdout);
}

/// A repair would wait for the settle time in vain: a range whose kind is left out is only counted.
#[test]
fn a_range_of_a_kind_left_out_is_counted_and_not_read() {
    let round = round();
    let began = Instant::now();
    let told = round.repair("r", &["--settle", "1h"]);
    let why = "11999 rows to delete, which --kinds leaves out";
    assert!(told.exits(0).stdout.contains(why), "{}", told.stdout);
    assert!(began.elapsed() < Duration::from_secs(600));
}

/// An interrupted repair would leave rows of the tables in an unfinished folder.
#[test]
fn a_repair_that_is_interrupted_leaves_nothing_behind() {
    let round = round();
    let program = round.program().args(&["repair", "spec.toml", "--authority", "source"]);
    let program = program.args(&["--from", "findings.jsonl", "--out", "r", "--settle", "1h"]);
    let mut running = program.args(&["--kinds", "delete"]).start();
    running.await_line("rows of a range are read twice, 3600s apart");
    let folder = round.path("r").parent().unwrap().to_owned();
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    wait::until("a folder of a repair", || {
        names().iter().any(|name| name.starts_with(".pgreconcile-repair-"))
    });
    running.signal("INT");
    let outcome = running.finish();
    assert!(outcome.exits(3).stderr.contains("interrupted: nothing is written"), "{outcome:?}");
    let left: Vec<String> = names().into_iter().filter(|name| name.contains("repair")).collect();
    assert!(left.is_empty() && !round.path("r").exists(), "{left:?}");
}
