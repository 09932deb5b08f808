//! The widest tables and the largest values that the server accepts, in little memory.

use std::fmt::Write;

use pgreconcile::schema::Side;

use crate::support::wait;
use crate::support::{Outcome, Pair, strategies};

const SPEC: &str = "[compare]\nstatement_timeout = \"10min\"\n\
    [[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n";

/// Compares within this many MiB.
fn within(pair: &Pair, spec: &str, mebibytes: u64, flags: &[&str]) -> Outcome {
    let spec = pair.spec(spec);
    let program = pair.program().args(&["compare", spec.to_str().unwrap(), "--settle", "0s"]);
    let program = program.args(&["--format", "jsonl", "--progress", "never"]).args(flags);
    let (outcome, peak) = program.run_measured();
    assert!(peak > 0 && peak < mebibytes, "{peak} MiB {flags:?}");
    outcome
}

#[test]
fn tables_of_1600_columns_are_compared_column_by_column() {
    let mut table = "create table t (id int primary key".to_owned();
    let mut values = String::new();
    for column in 1..1600 {
        let _ = write!(table, ", c{column} int");
        let _ = write!(values, ", n + {column}");
    }
    let _ = write!(table, "); insert into t select n{values} from generate_series(1, 3000) n;");
    let pair = Pair::new(&table, &table);
    pair.sql(
        Side::Target,
        "update t set c1599 = 0 where id = 2999; update t set c1 = -1, c800 = null where id % 100 = 1;",
    );
    for strategy in strategies() {
        let outcome = within(&pair, SPEC, 256, &["--strategy", strategy]);
        let findings = outcome.findings();
        assert_eq!(findings.len(), 31);
        assert!(
            findings.contains(&"t mismatch {\"id\":\"2999\"} c1599: \"4598\" | \"0\"".to_owned())
        );
        assert!(
            findings[0].ends_with("c1: \"2\" | \"-1\" c800: \"801\" | null"),
            "{}",
            findings[0]
        );
        outcome.balances().exits(1);
    }
}

/// Values that cannot be compressed.
const LARGE: &str = "create table t (id int primary key, b bytea, v text, j json);
    alter table t alter b set storage external, alter v set storage external;
    insert into t select n, convert_to(repeat(md5(n::text), 3276800), 'UTF8'), repeat(md5(n::text), 3276800),
    to_json(repeat(md5(n::text), 327680)) from generate_series(1, 3) n;
    insert into t values (4, 'short', 'short', '{}'), (5, null, null, null);";

#[test]
fn values_of_100_megabytes_are_compared_in_256() {
    let pair = Pair::new(LARGE, LARGE);
    for strategy in strategies() {
        within(&pair, SPEC, 256, &["--strategy", strategy]).balances().exits(0);
    }
    pair.sql(
        Side::Target,
        "update t set b = overlay(b placing 'x'::bytea from 104857600) where id = 1;
         update t set v = v || ' ' where id = 2; update t set j = null where id = 3;
         update t set b = convert_to('pgreconcile-large:', 'UTF8'), v = 'pgreconcile-large:' where id = 4;",
    );
    for strategy in strategies() {
        let outcome = within(&pair, SPEC, 256, &["--strategy", strategy]);
        let told: Vec<String> =
            outcome.findings().iter().map(|line| line.chars().take(90).collect()).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        for (line, column) in
            told.iter().zip(["b: \"\\\\x", "v: \"c81e", "j: \"\\\"eccb", "b: \"\\\\x73686f7274\""])
        {
            assert!(line.contains(column), "{line} lacks {column}");
        }
        let finding = &outcome.records("finding")[..];
        let text =
            finding.iter().find(|f| f["key"]["id"] == "2").unwrap()["columns"]["v"]["target"]
                .as_str()
                .unwrap()
                .to_owned();
        assert!(text.contains("… (104857601 bytes, sha256 "), "{}", &text[990..]);
        outcome.balances().exits(1);
    }
}

/// Values too large for the server to render would end the run: the server renders no text and
/// builds no row of more than 1 GB.
#[test]
fn values_of_600_megabytes_are_compared_or_undecided() {
    let table = "create table t (id int primary key, b bytea, c bytea);
        alter table t alter b set storage external, alter c set storage external;
        insert into t values (1, 'a', 'a');
        insert into t select 2, convert_to(repeat('x', 600000000), 'UTF8'), 'a';";
    let pair = Pair::new(table, table);
    for strategy in strategies() {
        within(&pair, SPEC, 64, &["--strategy", strategy]).balances().exits(0);
    }
    for side in Side::BOTH {
        pair.sql(side, "update t set c = b where id = 2; insert into t values (3, 'a', 'a')");
    }
    pair.sql(Side::Target, "update t set c = 'b' where id = 3");
    for strategy in strategies() {
        let outcome = within(&pair, SPEC, 64, &["--strategy", strategy]);
        assert_eq!(outcome.findings(), ["t mismatch {\"id\":\"3\"} c: \"\\\\x61\" | \"\\\\x62\""]);
        if strategy == &"stream" {
            // Each value is compared by its hash, so even that row can be compared.
            outcome.balances().exits(1);
            continue;
        }
        let undecided = &outcome.records("undecided")[0]["range"];
        assert_eq!(undecided["through"]["id"], "2", "{undecided}");
        outcome.balances().exits(3);
    }
}

/// Large values of types other than bytea would end the run; a jsonb accepts no text of more than
/// 256 MB.
#[test]
fn texts_documents_and_arrays_of_600_megabytes_are_compared() {
    let values = [
        ("text", "repeat('x', 600000000)"),
        ("json", "('\"' || repeat('x', 600000000) || '\"')::json"),
        ("jsonb", "to_jsonb(repeat('x', 260000000))"),
        ("text[]", "array['a', repeat('x', 600000000)]"),
    ];
    let (mut tables, mut changes) = (String::new(), String::new());
    let mut spec = "[compare]\njobs = 1\nstatement_timeout = \"10min\"\n".to_owned();
    for (place, (name, value)) in values.iter().enumerate() {
        let _ = write!(
            tables,
            "create table t{place} (id int primary key, v {name});
             insert into t{place} values (1, {value});"
        );
        let other = value.replace("'x', ", "'y', ");
        let _ = write!(changes, "update t{place} set v = {other};");
        let table = format!("table = \"public.t{place}\"\n");
        let _ = write!(spec, "[[mapping]]\n[mapping.source]\n{table}[mapping.target]\n{table}");
    }
    let pair = Pair::new(&tables, &tables);
    for strategy in strategies() {
        within(&pair, &spec, 64, &["--strategy", strategy]).balances().exits(0);
    }
    pair.sql(Side::Target, &changes);
    for strategy in strategies() {
        let outcome = within(&pair, &spec, 64, &["--strategy", strategy]);
        outcome.balances().exits(1);
        let found = outcome.records("finding");
        let told = |f: &serde_json::Value| format!("{} of {}", f["kind"], f["mapping"]);
        let mut found: Vec<String> = found.iter().map(told).collect();
        found.sort();
        let all = (0..values.len()).map(|place| format!("\"mismatch\" of \"t{place}\""));
        assert_eq!(found, all.collect::<Vec<_>>());
    }
}

/// Rows that are reported one by one would be read all at once and fill the memory.
#[test]
fn an_empty_target_is_reported_by_key_in_little_memory() {
    let table = "create table t (id int primary key, v text);";
    let rows = "insert into t select n, 'v' || n from generate_series(1, 150000) n; analyze t;";
    let pair = Pair::new(&format!("{table}{rows}"), table);
    for strategy in strategies() {
        let flags = ["--strategy", strategy, "--expand", "--max-findings", "1000000"];
        let outcome = within(&pair, SPEC, 64, &flags);
        assert_eq!(outcome.balances().exits(1).mapping()["only_in_source"], 150_000);
        assert_eq!(outcome.records("finding").len(), 150_000);
    }
}

/// Statistics of all of a table's columns would be read where only one column's are needed.
#[test]
fn statistics_of_one_column_are_queried_alone() {
    // PostgreSQL's own regression tests showed this: a join with the statistics makes the server
    // read those of the whole database, once for every compared table.
    let many = "create table t (id int primary key, a int, b text);
        insert into t select n, n, n from generate_series(1, 100) n;
        do $$ begin for n in 1..400 loop
            execute format('create table other%s as select *, a as c, b as d, a as e from t', n);
        end loop; end $$;
        analyze;";
    let pair = Pair::new(many, many);
    let scans = |side: Side| {
        // A session reports its statistics before it ends.
        let others = "select count(*) from pg_stat_activity
                      where datname = current_database() and pid <> pg_backend_pid()";
        wait::until("no other session is left", || pair.sql(side, others) == "0");
        let scans = "select seq_scan from pg_stat_sys_tables where relname = 'pg_statistic'";
        pair.sql(side, scans)
    };
    let before = Side::BOTH.map(scans);
    let spec = pair.spec(SPEC);
    let _ = pair.compare(&spec, &[]).exits(0);
    assert_eq!(Side::BOTH.map(scans), before);
}
