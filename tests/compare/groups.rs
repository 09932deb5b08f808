//! Groups and accept rules beyond the scenarios: random tables against PostgreSQL's own counts,
//! limits, terminal and other formats, and conditions that neither side can evaluate.

use pgreconcile::schema::Side;

use crate::support::{Pair, strategies};

const MAPPING: &str = "[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n";

fn rule(condition: &str, until: &str) -> String {
    format!(
        "[[mapping.accept]]\nwhere = \"{condition}\"\nreason = \"agreed\\nto\"\nuntil = \"{until}\"\n"
    )
}

/// The server's own counts: group, rows of each side, matched rows.
const COUNTED: &str =
    "select coalesce(g, '-') || ' ' || sum(s) || ' ' || sum(t) || ' ' || sum(m) from (
    select g, 1 s, 0 t, 0 m from s.t union all select g, 0, 1, 0 from t.t union all
    select a.g, 0, 0, 1 from s.t a join t.t b on a.id::text collate \"C\" = b.id::text collate \"C\"
    where a.g is not distinct from b.g and a.v = b.v) as x group by g order by 1;";

/// Compares random tables of this many rows by group, and compares every count with the server's
/// own.
fn counts_groups(keys: [&str; 2], id: &str, rows: u32, seed: &str, partition: &str) {
    let table = |schema: &str, key: &str| {
        format!(
            "create schema {schema}; create table {schema}.t (id {key} primary key, g text, v int);
             insert into {schema}.t select {id}, case when n % 7 > 0 then 'g' || n::int8 * 31 % 40 end, n
             from generate_series(1, {rows}) n where random() < 0.97;
             update {schema}.t set v = -v where random() < 0.02;
             update {schema}.t set g = 'moved' where random() < 0.01; analyze {schema}.t;"
        )
    };
    let sql = format!("select setseed({seed}); {} {}", table("s", keys[0]), table("t", keys[1]));
    let pair = Pair::new(&sql, "");
    let mut expected: Vec<String> =
        pair.sql(Side::Source, COUNTED).lines().map(str::to_owned).collect();
    expected.sort();
    let mapping = MAPPING.replacen("public", "s", 1).replace("public", "t");
    let spec = pair.spec(&mapping.replace("source.", "group_by = \"g\"\nsource."));
    let program = || {
        pair.program().env("TARGET_URL", &pair.url(Side::Source)).current_dir(pair.scratch.path())
    };
    let plan = program().args(&["plan", "spec.toml", "--format", "json"]).run();
    if strategies()[0] == "digest" {
        let partition = format!("\"partition\": \"{partition}\"");
        assert!(plan.exits(0).stdout.contains(&partition), "{}", plan.stdout);
    }
    for strategy in strategies() {
        for chunk in ["13", "700", "100000", "0"] {
            let sized = ["--chunk-rows", chunk];
            let outcome = program()
                .args(&["compare", spec.to_str().unwrap(), "--settle", "0s"])
                .args(&["--format", "jsonl", "--progress", "never", "--strategy", strategy])
                .args(if chunk == "0" || rows > 10_000 { &[] } else { &sized })
                .run();
            let record = outcome.balances().exits(1).mapping();
            let mut found: Vec<String> = record["groups"]
                .as_array()
                .unwrap()
                .iter()
                .map(|group| {
                    let name = group["group"].as_str().unwrap_or("-");
                    let (rows, matched) = (&group["rows"], &group["matched"]);
                    format!("{name} {} {} {matched}", rows["source"], rows["target"])
                })
                .collect();
            found.sort();
            assert_eq!(found, expected, "{strategy} {chunk}");
            if rows > 10_000 {
                break;
            }
        }
    }
}

#[test]
fn groups_are_counted_as_postgresql_counts_them() {
    for seed in ["0.1", "0.7"] {
        counts_groups(["int", "int"], "n", 4_000, seed, "ranges");
    }
}

/// A group's row counts would not balance under one of the strategies.
#[test]
fn groups_are_counted_in_buckets_and_scattered_ranges() {
    let keys = ["text collate \"sv-x-icu\"", "text collate \"da-x-icu\""];
    for seed in ["0.2", "0.6"] {
        counts_groups(keys, "n::text", 4_000, seed, "buckets");
    }
    counts_groups(["uuid", "uuid"], "md5(n::text)::uuid", 60_000, "0.3", "buckets");
}

#[test]
fn too_many_groups_end_a_mapping_with_a_reason() {
    let rows = "create table t (id int primary key);
        insert into t select n from generate_series(1, 101000) n;";
    let pair = Pair::new(rows, rows);
    let spec = pair.spec(&MAPPING.replace("source.", "group_by = \"id\"\nsource."));
    for strategy in ["digest", "stream"] {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        let record = outcome.balances().exits(3).mapping();
        assert!(record["reason"].as_str().unwrap().contains("100,000 groups"), "{record:.300}");
        assert_eq!(record["groups"].as_array().unwrap().len(), 100_000);
    }
}

#[test]
fn terminal_and_csv_show_groups_and_accepted_rows() {
    let table = "create table t (id int primary key, tenant text, v int);";
    let source =
        format!("{table} insert into t select n, '=' || n % 3, n from generate_series(1, 9) n;");
    let target = format!("{source} update t set v = 0 where id in (1, 2);");
    let pair = Pair::new(&source, &target);
    let rules = rule("source.id = 1", "9999-12-31") + &rule("target.id = 2", "2020-02-29");
    let mapping = MAPPING.replace("source.", "group_by = \"tenant\"\nsource.");
    let spec = pair.spec(&format!("{mapping}{rules}"));
    let run = |format: &str| {
        let spec = spec.to_str().unwrap();
        let args = ["compare", spec, "--settle", "0s", "--progress", "never", "--format", format];
        pair.program().args(&args).run()
    };
    let outcome = run("terminal");
    let told = &outcome.exits(1).stdout;
    for words in [
        "t by tenant: 3 groups: 2 clean, 1 diverged",
        "id=1 in group =1 (accepted: agreed\\nto)",
        "id=2 in group =2",
        "t: 1 row accepted",
        "t: accepted until 2020-02-29 only: agreed\\nto",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    assert!(
        outcome.stderr.contains("an accept rule has expired on 2020-02-29"),
        "{}",
        outcome.stderr
    );
    let csv = run("csv").stdout;
    assert!(csv.contains("t,mismatch,accepted,\"{\"\"id\"\":\"\"1\"\"}\",'=1,v,1,0,"), "{csv}");
    let json: serde_json::Value = serde_json::from_str(&run("json").stdout).unwrap();
    let expired = &json["mappings"][0]["expired_accepts"];
    assert_eq!(expired.to_string(), r#"[{"reason":"agreed\nto","until":"2020-02-29"}]"#);
    let plan = pair.program().args(&["plan", spec.to_str().unwrap()]).run();
    for words in ["groups   by tenant", "source.id = 1; until 9999-12-31: agreed to"] {
        assert!(plan.exits(0).stdout.contains(words), "{}", plan.stdout);
    }
}

/// An accept rule would hide differences that it was not meant for.
#[test]
fn a_condition_for_neither_or_both_sides_is_an_error() {
    let table = "create table t (id int primary key, v int);";
    let pair = Pair::new(table, table);
    for (condition, message) in [
        ("source.id = target.id", "refers to both sides"),
        ("id = 1", "does not say which side it is about"),
        ("source.nope = 1", "the source refuses this SQL"),
        ("target.nope = 1", "the target refuses this SQL"),
        ("source.id", "gives integer, not a condition"),
    ] {
        let spec = pair.spec(&format!("{MAPPING}{}", rule(condition, "9999-12-31")));
        let outcome = pair.compare(&spec, &[]);
        let told = &outcome.exits(2).stderr;
        assert!(told.contains(message) && told.contains("where ="), "{condition}\n{told}");
    }
}

/// A rule that cannot be computed for a row would accept the row or be skipped.
#[test]
fn a_condition_that_fails_on_a_row_leaves_the_row_undecided() {
    let source = "create table t (id int primary key, v int); insert into t values (1, 0), (2, 5);";
    let pair = Pair::new(source, "create table t (id int primary key, v int);");
    let mapping = MAPPING.replace("source.", "group_by = \"v\"\nsource.");
    let spec = pair.spec(&format!("{mapping}{}", rule("10 / source.v > 1", "9999-12-31")));
    for strategy in ["digest", "stream"] {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        outcome.balances().exits(3);
        assert_eq!(outcome.records("undecided").len(), 1, "{}", outcome.stdout);
        assert_eq!(outcome.mapping()["accepted"], 1, "{}", outcome.stdout);
        // The report does not show which row it is.
        assert_eq!(outcome.groups(), ["t \"5\" incomplete 1|0 accepted=1"]);
        assert_eq!(outcome.mapping()["ungrouped"]["source"], 1);
    }
}

/// One row that cannot be compared would leave the other 999 rows of its chunk undecided.
#[test]
fn a_condition_that_fails_leaves_its_row_undecided_and_no_other() {
    let table = "create table t (id int primary key, v int);
                 insert into t select n, n from generate_series(1, 1000) n;";
    let change = "update t set v = -v where id in (50, 60);";
    let pair = Pair::new(table, &format!("{table} {change}"));
    let spec = pair.spec(&format!("{MAPPING}{}", rule("1 / (source.v - 50) > 5", "2999-12-31")));
    for strategy in strategies() {
        let outcome = pair.compare(&spec, &["--strategy", strategy]);
        assert_eq!(
            outcome.balances().exits(3).findings(),
            ["t mismatch {\"id\":\"60\"} v: \"60\" | \"-60\""]
        );
        let undecided = outcome.records("undecided");
        assert_eq!(undecided.len(), 1, "{undecided:?}");
        let range = serde_json::json!({ "after": { "id": "49" }, "through": { "id": "50" } });
        assert_eq!(undecided[0]["range"], range);
    }
}

/// Accepted findings would use up the limit that applies to the others.
#[test]
fn accepted_findings_do_not_truncate_a_run() {
    let source = "create table t (id int primary key, v int);
        insert into t select n, 1 from generate_series(1, 50) n;";
    let target = format!("{source} update t set v = 2;");
    let pair = Pair::new(source, &target);
    let spec = pair.spec(&format!("{MAPPING}{}", rule("source.id > 3", "9999-12-31")));
    let outcome = pair.compare(&spec, &["--max-findings", "3"]);
    let record = outcome.balances().exits(1).mapping();
    assert_eq!((&record["accepted"], &record["mismatch"]), (&47.into(), &3.into()));
    assert_eq!(outcome.findings().len(), 6);
    assert_eq!(pair.compare(&spec, &["--max-findings", "2"]).exits(3).findings().len(), 4);
}
