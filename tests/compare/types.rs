//! Every built-in type of PostgreSQL, with the values of PostgreSQL's own regression tests that are
//! easily confused. An identical copy in a database with other OIDs, collations and session
//! defaults shows no difference; each single changed value shows exactly one.

use std::collections::BTreeMap;
use std::fmt::Write;

use pgreconcile::schema::Side;

use crate::support::types::{OWN, TYPES, quoted};
use crate::support::{Outcome, Pair, strategies};

/// Session defaults that change how values are displayed and parsed.
const DEFAULTS: &str = "
    do $$ declare setting text; begin
        foreach setting in array array['datestyle = ''German, DMY''', 'intervalstyle = ''iso_8601''',
            'timezone = ''Asia/Kolkata''', 'extra_float_digits = 0', 'bytea_output = ''escape''',
            'xmlbinary = ''hex''', 'quote_all_identifiers = on', 'array_nulls = off'] loop
            execute format('alter database %I set ', current_database()) || setting;
        end loop; end $$;";

/// Types and their values as written in SQL; no two neighbours are alike.
type Columns = Vec<(String, Vec<String>)>;

fn plain() -> Columns {
    let column = |(name, values): &(&str, &[&str])| {
        (name.to_string(), values.iter().map(|value| quoted(value)).collect())
    };
    TYPES.iter().map(column).collect()
}

/// Returns for every type arrays that differ in their elements, dimensions or lower bounds.
fn arrays() -> Columns {
    let column = |(name, values): &(&str, &[&str])| {
        let array = format!("{name}[]");
        let value = |at: usize| format!("{}::{name}", quoted(values[at]));
        let (a, b) = (value(0), value(1));
        let values = [
            format!("array[{a}]"),
            format!("array[{b}]"),
            format!("array[{a}, {b}]"),
            format!("array[array[{a}, {b}]]"),
            format!("array[array[{a}], array[{b}]]"),
            format!("array[{a}, null]"),
            format!("array_fill({a}, array[1], array[0])"),
            "array[]".to_owned(),
        ];
        let values = values.map(|value| format!("{value}::{array}")).to_vec();
        (array, values)
    };
    TYPES.iter().filter(|(name, _)| !name.ends_with(']')).map(column).collect()
}

/// Returns the SQL of a table for each type; each value has its own row, shifted by this many
/// places, and the last value is NULL.
fn tables(columns: &Columns, moved: usize) -> String {
    let mut sql = String::new();
    for (place, (type_name, values)) in columns.iter().enumerate() {
        let _ = writeln!(sql, "create table t{place} (id int primary key, v {type_name});");
        for row in 0..values.len() {
            let value = &values[(row + moved) % values.len()];
            let _ = writeln!(sql, "insert into t{place} values ({row}, {value});");
        }
        let last = if moved == 0 { "null" } else { &values[0] };
        let _ = writeln!(sql, "insert into t{place} values (1000, {last});");
    }
    sql
}

fn spec(columns: &Columns) -> String {
    let mut spec = String::new();
    for place in 0..columns.len() {
        let table = format!("table = \"public.t{place}\"\n");
        let _ = write!(
            spec,
            "[[mapping]]\n[mapping.source]\n{table}[mapping.target]\n{table}[mapping.columns]\nv = \"v\"\n"
        );
    }
    spec
}

/// Returns the number of findings of each type, where it is not the expected number.
fn surprises(
    columns: &Columns,
    outcome: &Outcome,
    expected: impl Fn(usize) -> usize,
) -> Vec<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for finding in outcome.records("finding") {
        *found.entry(finding["mapping"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let differs = |(place, (name, _)): (usize, &(String, _))| {
        let found = found.get(&format!("t{place}")).copied().unwrap_or_default();
        let expected = expected(place);
        (found != expected).then(|| format!("{name}: {found} findings instead of {expected}"))
    };
    columns.iter().enumerate().filter_map(differs).collect()
}

/// Compares an identical copy, then one in which every value is another; `more` applies to the
/// target only.
fn each_change_is_one_finding(columns: &Columns, more: &str) {
    let source = format!("{OWN}{}", tables(columns, 0));
    let other_oids = "do $$ begin for n in 1..50 loop
        execute format('create type gone%s as enum ()', n); execute format('drop type gone%s', n);
        end loop; end $$;";
    let iso = "set datestyle = 'ISO, MDY'; set array_nulls = on;";
    let target = format!("{other_oids}{OWN}{iso}{}{more}{DEFAULTS}", tables(columns, 0));
    let pair = Pair::new(&source, &target);
    let spec = pair.spec(&spec(columns));
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        assert_eq!(surprises(columns, &outcome, |_| 0), Vec::<String>::new(), "{}", outcome.stderr);
        outcome.balances().exits(0);
    }
    let drop: String = (0..columns.len()).map(|place| format!("drop table t{place};\n")).collect();
    pair.sql(Side::Target, &format!("{iso}{drop}{}", tables(columns, 1)));
    pair.grant(Side::Target);
    for strategy in strategies() {
        for rows in ["1", "1000"] {
            let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", rows]);
            let all = |place: usize| columns[place].1.len() + 1;
            let surprises = surprises(columns, &outcome, all);
            assert_eq!(surprises, Vec::<String>::new(), "{}", outcome.stderr);
            outcome.balances().exits(1);
        }
    }
}

/// A type would be compared by a property that differs between two databases, or not in full.
#[test]
fn identical_copies_are_clean_and_each_change_is_found() {
    // Text also has another order and another equality there.
    let otherwise = "alter table t3 alter v type text collate \"sv-x-icu\";
         create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         alter table t4 alter v type varchar(8) collate loose;";
    each_change_is_one_finding(&plain(), otherwise);
}

#[test]
fn the_same_of_arrays_of_every_type_and_dimension() {
    each_change_is_one_finding(&arrays(), "");
}
