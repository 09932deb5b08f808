//! Scenarios: each is a folder of data, and each bug gets a folder named after it.
//!
//! A folder holds `spec.toml`, `source.sql`, `target.sql`, and the sorted findings in
//! `expected.txt`. Each scenario is compared with both strategies and several chunk sizes. All must
//! give exactly the same findings and row counts that balance. `args.txt` holds further arguments,
//! `env.txt` variables, `chunks.txt` other chunk sizes, `groups.txt` the results of the groups.

use std::path::Path;

use crate::support::scenarios::{folder, names};
use crate::support::{Pair, strategies};

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*
    };
}

scenarios! {
    a_backfill_that_has_not_come_by,
    a_query_on_each_side,
    accept_alone,
    accept_by_kind_and_column,
    accept_hostile_strings,
    accept_long_ranges,
    accept_rows_that_a_side_cannot_see,
    blind_spot_arrays,
    blind_spot_enum_oids,
    blind_spot_equal_pairs,
    blind_spot_float_zero_and_null,
    blind_spot_jsonb_elements,
    blind_spot_numeric_sign,
    blind_spot_ranges,
    blind_spot_swapped_values,
    blind_spot_types_without_hash,
    blind_spot_wrapped_integers,
    both_sides_empty,
    composite_key,
    composite_key_in_other_orders,
    duplicates_and_null_keys,
    empty_source,
    empty_target,
    every_type_changed_once,
    every_type_identical,
    groups_and_duplicates,
    groups_in_a_backfill,
    groups_of_many_types,
    groups_per_tenant,
    hostile_names,
    keys_beyond_the_other_side,
    keys_of_many_types,
    large_values,
    null_against_empty,
    numbers_and_letters_at_the_edge,
    one_row_a_side,
    redacted,
    renamed_cast_and_computed,
    rule_case_insensitive,
    rule_json,
    rule_null_as_empty,
    rule_precision,
    rule_that_merges_two_keys,
    rule_trimmed,
    rules_in_keys,
    tolerance_floats,
    tolerance_in_any_order,
    tolerance_numbers,
    tolerance_times,
    types_that_meet,
}

#[test]
fn no_scenario_is_forgotten() {
    assert_eq!(names(), NAMES);
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|_| panic!("{name} is missing"))
}

fn run(name: &str) {
    let folder = folder().join(name);
    let pair = Pair::new(&read(&folder, "source.sql"), &read(&folder, "target.sql"));
    let spec = pair.scratch.file("spec.toml", &read(&folder, "spec.toml"));
    let lines = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (args, env) = (lines("args.txt"), lines("env.txt"));
    let mut chunks: Vec<Option<String>> = lines("chunks.txt").into_iter().map(Some).collect();
    if chunks.is_empty() {
        chunks = ["1", "7", "1000"].map(|rows| Some(rows.to_owned())).into();
    }
    chunks.push(None);
    let mut expected = lines("expected.txt");
    expected.sort();
    for strategy in strategies() {
        for rows in &chunks {
            let mut flags = vec!["--strategy", strategy];
            flags.extend(args.iter().map(String::as_str));
            if let Some(rows) = rows {
                flags.extend(["--chunk-rows", rows]);
            }
            let program = env.iter().fold(pair.comparing(&spec, &flags), |program, line| {
                let (name, value) = line.split_once('=').unwrap();
                program.env(name, value)
            });
            let outcome = program.run();
            assert_eq!(outcome.findings(), expected, "{flags:?}\n{}", outcome.stderr);
            if folder.join("groups.txt").exists() {
                assert_eq!(outcome.groups(), lines("groups.txt"), "{flags:?}\n{}", outcome.stderr);
            }
            let accepted = |line: &String| line.contains(" (accepted)");
            outcome.balances().exits(i32::from(!expected.iter().all(accepted)));
        }
    }
}
