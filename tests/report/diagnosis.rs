//! Hints: the cause of most findings of a mapping is reported with its evidence, in every output
//! that has a place for it, and a hint holds for at least four in five.

use serde_json::Value;

use crate::support::{Outcome, Pair, strategies};

const MAPPING: &str = "[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n";

/// Returns hints as `word columns fit/of`, in the order in which they are reported.
fn hints(outcome: &Outcome) -> Vec<String> {
    let record = outcome.mapping();
    let told = |hint: &Value| {
        let columns = hint["columns"].as_array().into_iter().flatten();
        let columns: Vec<_> = columns.map(|name| name.as_str().unwrap()).collect();
        let word = hint["hint"].as_str().unwrap();
        format!("{word} {} {}/{}", columns.join(","), hint["fit"], hint["of"])
    };
    record["hints"].as_array().into_iter().flatten().map(told).collect()
}

/// Creates a table of 2,000 rows; this changes the target's.
fn pair(columns: &str, values: &str, change: &str) -> Pair {
    let table = format!(
        "create table t (id int primary key, {columns});
         insert into t select n, {values} from generate_series(1, 2000) n; analyze t;"
    );
    Pair::new(&table, &format!("{table}\n{change}"))
}

/// Returns the hints for one column that was changed in some rows.
fn said_of(column: &str, value: &str, change: &str) -> Vec<String> {
    let change = format!("update t set v = {change} where id % 100 = 7;");
    let pair = pair(&format!("v {column}"), value, &change);
    let spec = pair.spec(MAPPING);
    let mut said: Option<Vec<String>> = None;
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        let found = hints(outcome.balances().exits(1));
        assert_eq!(*said.get_or_insert(found.clone()), found);
    }
    said.unwrap()
}

#[test]
fn what_a_column_has_gone_through_is_named() {
    for (column, value, change, word) in [
        ("jsonb", "to_jsonb(n)", "(v::text || '.0')::jsonb", "number_scale"),
        (
            "jsonb",
            "jsonb_build_object('price', n)",
            "replace(v::text, '}', '.00}')::jsonb",
            "number_scale",
        ),
        ("text", "'caf' || U&'\\00E9' || n", "normalize(v, nfd)", "unicode_form"),
        ("text", "'x' || n", "v || ' '", "blanks"),
        ("text", "'x' || n", "upper(v)", "case"),
        ("text", "''", "null", "null_for_empty"),
        ("text", "'x' || n", "null", "null"),
        ("json", "json_build_object('a', n, 'b', 1)", "v::jsonb::json", "json_structure"),
        ("numeric", "n + 0.125", "round(v, 2)", "rounded"),
        ("numeric", "n + 0.128", "trunc(v, 2)", "cut_off"),
        ("numeric(12,2)", "n + 0.25", "-v", "sign"),
        ("int8", "-n", "v + 4294967296", "wrapped"),
        ("numeric", "-n", "v + 18446744073709551616", "wrapped"),
        ("numeric", "n + 0.25", "v * 100", "factor"),
        (
            "timestamptz",
            "'2026-03-01Z'::timestamptz + n * interval '1.000123 s'",
            "date_trunc('ms', v)",
            "time_cut_off",
        ),
        (
            "timestamptz",
            "'2026-03-01Z'::timestamptz + n * interval '1.000123 s'",
            "v - interval '2 h'",
            "time_shift",
        ),
        (
            "timestamp",
            "'2026-03-01'::timestamp + n * interval '1.0007 s'",
            "v::timestamp(0)",
            "time_rounded",
        ),
    ] {
        let said = said_of(column, value, change);
        let expected = vec![format!("{word} v 20/20"), "one_column v 20/20".to_owned()];
        // For half of the seconds, rounding and truncation have the same result.
        assert_eq!(said, expected, "{column}: {value} -> {change}");
    }
}

#[test]
fn nothing_is_claimed_where_no_explanation_fits_four_in_five() {
    let said =
        said_of("text", "'x' || n", "case when id % 300 = 7 then v || ' ' else v || 'y' end");
    assert_eq!(said, ["one_column v 20/20"]);
}

#[test]
fn an_older_state_is_recognized_by_its_time_of_change() {
    let columns = "state text, seen int, updated_at timestamptz";
    let values = "'new', n, '2026-01-01Z'::timestamptz + n * interval '1 h'";
    let change =
        "update t set state = 'old', seen = 0, updated_at = updated_at - interval '1 min' * id
                  where id between 900 and 919;";
    let pair = pair(columns, values, change);
    let mapping = MAPPING.replace(
        "target.table",
        "source.changed_at = \"updated_at\"\ntarget.changed_at = \"updated_at\"\ntarget.table",
    );
    let spec = pair.spec(&mapping);
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        let said = hints(outcome.balances().exits(1));
        let expected = [
            "columns_together state,seen,updated_at 20/20",
            "older_state  20/20",
            "key_window id 20/20",
            "change_window updated_at 20/20",
        ];
        for hint in expected {
            assert!(said.contains(&hint.to_owned()), "{hint}: {said:#?}");
        }
        let first = outcome.records("finding").remove(0);
        assert!(first["changed_at"]["source"].as_str() > first["changed_at"]["target"].as_str());
        let keys_only = pair.compare(&spec, &["--strategy", strategy, "--keys-only"]);
        assert!(!keys_only.stdout.contains("2026-0"), "{}", keys_only.stdout);
        assert!(!keys_only.stdout.contains("changed_at"), "{}", keys_only.stdout);
    }
}

#[test]
fn a_redacted_time_of_change_is_shown_nowhere() {
    let change = "update t set v = 0 where id % 100 = 7;";
    let pair =
        pair("v int, at timestamp", "n, '2026-01-01'::timestamp + n * interval '1 h'", change);
    let mapping = MAPPING.replace(
        "target.table",
        "source.changed_at = \"at\"\ntarget.changed_at = \"at\"\ntarget.table",
    );
    let outcome = pair.compare(
        &pair.spec(&format!("{mapping}columns.at = {{ from = \"at\", redact = true }}\n")),
        &[],
    );
    assert_eq!(hints(outcome.exits(1)), ["one_column v 20/20"]);
    assert!(!outcome.stdout.contains("\"2026-0"), "{}", outcome.stdout);
}

#[test]
fn a_redacted_column_gives_nothing_away() {
    let change = "update t set v = v || ' ' where id % 100 = 7;";
    let pair = pair("v text", "'secret' || n", change);
    let spec = pair.spec(&format!("{MAPPING}columns.v = {{ from = \"v\", redact = true }}\n"));
    let outcome = pair.compare(&spec, &[]);
    assert_eq!(hints(outcome.exits(1)), ["one_column v 20/20"]);
    let values = pair.spec(MAPPING);
    let keys_only = pair.compare(&values, &["--keys-only"]);
    assert_eq!(hints(keys_only.exits(1)), ["one_column v 20/20"]);
}

#[test]
fn values_that_changed_places_and_a_tenant_of_its_own_are_named() {
    let change = "update t set v = 'value ' || (case when id % 2 = 0 then id + 1 else id - 1 end)
                  where id between 500 and 1499 and tenant = 3;";
    let pair = pair("tenant int, v text", "n / 2 % 20, 'value ' || n", change);
    let spec = pair.spec(&MAPPING.replace("source.", "group_by = \"tenant\"\nsource."));
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        let said = hints(outcome.balances().exits(1));
        for hint in ["swapped_values  50/50", "one_group tenant 50/50", "one_column v 50/50"] {
            assert!(said.contains(&hint.to_owned()), "{hint}: {said:#?}");
        }
    }
}

#[test]
fn where_rows_of_one_side_begin_and_end_is_named() {
    let pair = pair("v int", "n", "delete from t where id between 300 and 400;");
    let spec = pair.spec(MAPPING);
    let outcome = pair.compare(&spec, &[]);
    let expected = ["key_window id 101/101"];
    assert_eq!(hints(outcome.exits(1)), expected);
}

#[test]
fn rows_that_the_other_side_has_not_come_to_are_named() {
    let table = "create table t (id int primary key); insert into t select n from generate_series(1, 30000) n;";
    for (gone, says, rows) in [
        ("id > 9000", "behind the last row of the target, id=9000", 21_000),
        ("id > 29980", "behind the last row of the target, id=29980", 20),
        ("id < 100", "before the first row of the target, id=100", 99),
        ("id < 15000", "before the first row of the target, id=15000", 14_999),
    ] {
        let pair = Pair::new(table, &format!("{table} delete from t where {gone};"));
        let spec = pair.spec(MAPPING);
        for strategy in strategies() {
            let record = pair.compare(&spec, &["--strategy", strategy]).exits(1).mapping();
            let hint = &record["hints"][0];
            assert_eq!(
                (&hint["hint"], &hint["says"]),
                (&"beyond_the_other_side".into(), &says.into())
            );
            assert_eq!((&hint["fit"], &hint["of"]), (&rows.into(), &rows.into()));
        }
    }
    // The target has the row at the very end, so it has reached that key.
    let pair =
        Pair::new(table, &format!("{table} delete from t where id between 29980 and 29999;"));
    let outcome = pair.compare(&pair.spec(MAPPING), &[]);
    assert_eq!(hints(outcome.exits(1)), ["key_window id 20/20"]);
}

#[test]
fn people_read_hints_under_the_findings_and_a_ledger_keeps_them() {
    let pair = pair("v text", "'x' || n", "update t set v = v || ' ' where id % 100 = 7;");
    let spec = pair.spec(MAPPING);
    let path = spec.to_str().unwrap();
    let tell = |verb: &str, more: &[&str]| {
        let program = pair.program().env("PGRECONCILE_LEDGER", "ledger.db").arg(verb).arg(path);
        program.args(more).run()
    };
    let compared = tell("compare", &["--settle", "0s", "--progress", "never"]);
    let line = "  hint  v: the target has blanks around the value; 20 of 20 mismatches";
    assert!(compared.exits(1).stdout.contains(line), "{}", compared.stdout);
    assert!(compared.stdout.contains("such as id="), "{}", compared.stdout);
    let told = tell("report", &[]);
    assert!(told.exits(0).stdout.contains(line), "{}", told.stdout);
    let json: Value = serde_json::from_str(&tell("report", &["--format", "json"]).stdout).unwrap();
    assert_eq!(json["mappings"][0]["hints"][0]["hint"], "blanks");
}

#[test]
fn a_time_of_change_has_to_be_a_time_that_is_there() {
    let pair = pair("v text, at date", "'x', current_date", "");
    for (column, said) in [
        ("nothing", "the source has no column \"nothing\""),
        ("v", "\"changed_at\" names source column \"v\", which is text"),
    ] {
        let mapping = MAPPING
            .replace("target.table", &format!("source.changed_at = \"{column}\"\ntarget.table"));
        let outcome = pair.compare(&pair.spec(&mapping), &[]);
        assert!(outcome.exits(2).stderr.contains(said), "{}", outcome.stderr);
    }
}
