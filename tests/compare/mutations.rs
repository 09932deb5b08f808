//! Random changes to tables of every type: each change is found with its column, and nothing else
//! is.
//!
//! The test runs for a budget of time (`PGRECONCILE_LAW_SECONDS`, 8 by default) or until it has
//! made a number of changes (`PGRECONCILE_LAW_MUTATIONS`). It prints its seed, which
//! `PGRECONCILE_LAW_SEED` replays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Instant;

use pgreconcile::schema::Side;

use crate::support::dice::{Dice, budget, first_seed};
use crate::support::types::{OWN, TYPES, quoted};
use crate::support::{Outcome, Pair, strategies};

const ROWS: usize = 1_000;
const CHANGES: usize = 2_000;

/// The index of each cell's value among its type's values; one more than the last is NULL.
type Cells = Vec<Vec<usize>>;

fn literal(column: usize, value: usize) -> String {
    TYPES[column].1.get(value).map_or("null".to_owned(), |text| quoted(text))
}

fn fill(cells: &Cells) -> String {
    let columns: Vec<String> = TYPES
        .iter()
        .enumerate()
        .map(|(column, (type_name, _))| format!("c{column} {type_name}"))
        .collect();
    let mut sql = format!("{OWN} create table t (id int primary key, {});\n", columns.join(", "));
    for (id, row) in cells.iter().enumerate() {
        let values = row.iter().enumerate().map(|(column, value)| literal(column, *value));
        let values = values.collect::<Vec<_>>().join(", ");
        let _ = writeln!(sql, "insert into t values ({id}, {values});");
    }
    sql
}

/// Returns the columns that differ, by key.
fn told(outcome: &Outcome) -> BTreeMap<usize, BTreeSet<usize>> {
    let column = |name: &String| name[1..].parse::<usize>().unwrap();
    let row = |finding: &serde_json::Value| {
        assert_eq!(finding["kind"], "mismatch");
        let id = finding["key"]["id"].as_str().unwrap().parse().unwrap();
        (id, finding["columns"].as_object().unwrap().keys().map(column).collect())
    };
    outcome.records("finding").iter().map(row).collect()
}

#[test]
fn every_change_is_found_with_its_column_and_nothing_else_is() {
    let wanted = std::env::var("PGRECONCILE_LAW_MUTATIONS").ok().and_then(|text| text.parse().ok());
    let (start, seed) = (Instant::now(), first_seed());
    let mut dice = Dice(seed);
    let random = |dice: &mut Dice| -> Vec<usize> {
        TYPES.iter().map(|(_, values)| dice.below(values.len() as u64 + 1) as usize).collect()
    };
    let source: Cells = (0..ROWS).map(|_| random(&mut dice)).collect();
    let mut target = source.clone();
    let sql = fill(&source);
    let pair = Pair::new(&sql, &sql);
    let columns: String =
        (0..TYPES.len()).map(|column| format!("c{column} = \"c{column}\"\n")).collect();
    let spec = pair.spec(&format!(
        "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n\
         [mapping.columns]\n{columns}"
    ));
    let (mut mutations, mut compared) = (0, 0);
    while wanted.map_or(start.elapsed() < budget(), |wanted: usize| mutations < wanted) {
        let mut sql = "begin;\n".to_owned();
        // Sometimes there is a single change, which has to be found alone.
        let changes = if dice.one_in(4) { 1 } else { CHANGES };
        if changes == 1 {
            target.clone_from(&source);
            sql.push_str("truncate t;\n");
            sql.push_str(
                &fill(&source)
                    .split_once(";\ninsert")
                    .map_or(String::new(), |(_, rows)| format!("insert{rows}")),
            );
        }
        for _ in 0..changes {
            let (id, column) =
                (dice.below(ROWS as u64) as usize, dice.below(TYPES.len() as u64) as usize);
            let value = dice.below(TYPES[column].1.len() as u64 + 1) as usize;
            target[id][column] = value;
            let _ = writeln!(
                sql,
                "update t set c{column} = {} where id = {id};",
                literal(column, value)
            );
        }
        pair.sql(Side::Target, &format!("{sql}commit;"));
        mutations += changes;
        let mut expected: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (id, (s, t)) in source.iter().zip(&target).enumerate() {
            let differ: BTreeSet<usize> =
                (0..TYPES.len()).filter(|column| s[*column] != t[*column]).collect();
            if !differ.is_empty() {
                expected.insert(id, differ);
            }
        }
        let rows = dice.pick(&["0", "1", "13", "100", "400", "5000"]);
        for strategy in strategies() {
            let mut flags = vec!["--strategy", strategy];
            if rows != "0" {
                flags.extend(["--chunk-rows", rows]);
            }
            let outcome = pair.compare(&spec, &flags);
            let found = told(&outcome);
            let of = |a: &BTreeMap<usize, BTreeSet<usize>>,
                      b: &BTreeMap<usize, BTreeSet<usize>>| {
                a.iter()
                    .flat_map(|(id, columns)| columns.iter().map(move |column| (*id, *column)))
                    .filter(|(id, column)| {
                        !b.get(id).is_some_and(|columns| columns.contains(column))
                    })
                    .map(|(id, column)| {
                        let values = |cells: &Cells| literal(column, cells[id][column]);
                        format!(
                            "{} {}: {} | {}",
                            id,
                            TYPES[column].0,
                            values(&source),
                            values(&target)
                        )
                    })
                    .collect::<Vec<_>>()
            };
            let (lost, made_up) = (of(&expected, &found), of(&found, &expected));
            assert!(
                lost.is_empty() && made_up.is_empty(),
                "PGRECONCILE_LAW_SEED={seed} {flags:?}\nlost: {lost:#?}\nmade up: {made_up:#?}\n{}",
                outcome.stderr
            );
            outcome.balances().exits(i32::from(!expected.is_empty()));
            compared += 1;
        }
    }
    println!("{mutations} changes, {compared} comparisons, none lost, none made up; seed {seed}");
}
