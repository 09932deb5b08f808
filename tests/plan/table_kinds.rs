//! Every kind of table: what is read, what proves its key, and what would hide rows.

use pgreconcile::schema::Side;

use crate::support::{Outcome, Pair, strategies};

const PLAIN: &str = "create table t (id int primary key, v text);
                     insert into t select n, 'v' || n from generate_series(1, 300) n;";
const SPEC: &str = "[[mapping]]\nkey = [\"id\"]\n[mapping.source]\ntable = \"public.t\"\n\
                    [mapping.target]\ntable = \"public.t\"\n";

/// Asserts that a copy of the plain table has no difference, and that three changes to the data
/// behind it are found; `base` is the table that is changed.
fn holds(kind: &str, target: &str, base: &str) {
    let pair = Pair::new(PLAIN, target);
    let spec = pair.spec(SPEC);
    let compare = |expected: &[&str]| {
        for strategy in strategies() {
            for rows in ["7", "1000"] {
                let outcome = pair.compare(&spec, &["--strategy", strategy, "--chunk-rows", rows]);
                assert_eq!(outcome.findings(), expected, "{kind} {strategy}: {}", outcome.stderr);
                outcome.balances().exits(i32::from(!expected.is_empty()));
            }
        }
    };
    compare(&[]);
    pair.sql(
        Side::Target,
        &format!(
            "update {base} set v = 'x' where id = 1; delete from {base} where id = 150;
             insert into {base} values (301, 'new');"
        ),
    );
    if kind == "a materialized view" {
        pair.sql(Side::Target, "refresh materialized view t");
    }
    compare(&[
        "t mismatch {\"id\":\"1\"} v: \"v1\" | \"x\"",
        "t only_in_source {\"id\":\"150\"}",
        "t only_in_target {\"id\":\"301\"}",
    ]);
}

const FILL: &str = "insert into t select n, 'v' || n from generate_series(1, 300) n;";

#[test]
fn a_partitioned_table_is_read_with_all_its_partitions() {
    let by_hash: String = (0..4)
        .map(|part| {
            format!(
                "create table t{part} partition of t for values with (modulus 4, remainder {part});"
            )
        })
        .collect();
    let table = format!(
        "create table t (id int primary key, v text) partition by hash (id); {by_hash} {FILL}"
    );
    holds("by hash", &table, "t");
    let table = format!(
        "create table t (id int primary key, v text) partition by range (id);
         create table a partition of t for values from (minvalue) to (100);
         create table b partition of t for values from (100) to (200) partition by hash (id);
         create table b0 partition of b for values with (modulus 2, remainder 0);
         create table b1 partition of b for values with (modulus 2, remainder 1);
         create table rest partition of t default; {FILL}"
    );
    holds("by range", &table, "t");
}

/// Rows of the children would be missing, or two rows of one key would be counted as one.
#[test]
fn an_inheritance_parent_includes_children_but_its_key_not() {
    let table = "create table t (id int primary key, v text);
                 create table child (primary key (id)) inherits (t);
                 insert into t select n, 'v' || n from generate_series(1, 150) n;
                 insert into child select n, 'v' || n from generate_series(151, 300) n;";
    holds("an inheritance parent", &format!("{table} alter table t alter v set not null;"), "t");
    let pair = Pair::new(PLAIN, &format!("{table} insert into child values (5, 'v5');"));
    for strategy in strategies() {
        let outcome = pair.compare(&pair.spec(SPEC), &["--strategy", strategy]);
        assert_eq!(outcome.findings(), ["t duplicate_key target {\"id\":\"5\"} 2"]);
        outcome.balances().exits(1);
    }
}

/// The children's rows would be counted as the parent's: one child's row has a key that the parent
/// has too, and one has a key of its own.
#[test]
fn a_parent_alone_is_read_without_its_children() {
    let table = "create table t (id int primary key, v text);
                 create table child (primary key (id)) inherits (t);
                 insert into t select n, 'v' || n from generate_series(1, 300) n;
                 insert into child values (5, 'other'), (1000, 'own'); analyze t;";
    let pair = Pair::new(PLAIN, table);
    let spec = pair.spec(&format!("{SPEC}only = true\n"));
    let path = spec.to_str().unwrap();
    let plan = pair.program().args(&["plan", path]).run();
    for said in ["inheritance parent only public.t", "proven by t_pkey on the target", "about 300"]
    {
        assert!(
            plan.exits(0).stdout.replace("\n           ", " ").contains(said),
            "{}",
            plan.stdout
        );
    }
    let compare = |expected: &[&str]| {
        for strategy in strategies() {
            for rows in ["7", "1000", "0"] {
                let flags = ["--strategy", strategy, "--chunk-rows", rows];
                let flags = if rows == "0" { &flags[..2] } else { &flags };
                let outcome = pair.compare(&spec, flags);
                assert_eq!(outcome.findings(), expected, "{strategy}: {}", outcome.stderr);
                outcome.balances().exits(i32::from(!expected.is_empty()));
            }
        }
    };
    compare(&[]);
    pair.sql(
        Side::Target,
        "update only t set v = 'x' where id = 5; delete from only t where id = 7;",
    );
    compare(&["t mismatch {\"id\":\"5\"} v: \"v5\" | \"x\"", "t only_in_source {\"id\":\"7\"}"]);
    // A repair script would have to leave the children alone as well, so a repair is refused.
    let found = pair.compare(&spec, &["--report", "found.jsonl"]);
    found.exits(1);
    let repair = ["repair", path, "--authority", "source", "--out", "r", "--from", "found.jsonl"];
    let repair = pair.program().args(&repair).run();
    assert!(repair.exits(2).stderr.contains("only a table can be repaired"), "{}", repair.stderr);
}

#[test]
fn only_a_table_can_be_read_without_its_children() {
    let parted = "create table t (id int primary key, v text) partition by hash (id);
                  create table t0 partition of t for values with (modulus 1, remainder 0);";
    let pair = Pair::new(PLAIN, parted);
    let refused = |mapping: &str| pair.compare(&pair.spec(mapping), &[]).exits(2).stderr.clone();
    let said = refused(&format!("{SPEC}only = true\n"));
    assert!(said.contains("\"only\" excludes every row of partitioned table public.t"), "{said}");
    let query = SPEC.replacen("table = \"public.t\"", "only = true\nquery = \"select 1 as id\"", 1);
    let said = refused(&query);
    assert!(said.contains("\"only\" is for a table that others inherit from"), "{said}");
}

/// Returns the SQL of a table named `base`, and of a foreign table in the same database that reads
/// it.
fn foreign(base: &str, table: &str) -> String {
    format!(
        "{base} create extension postgres_fdw;
         do $$ begin execute format('create server loop foreign data wrapper postgres_fdw options
            (host %L, port %L, dbname %L)', split_part(current_setting('unix_socket_directories'), ',', 1),
            current_setting('port'), current_database()); end $$;
         create user mapping for public server loop options (user 'postgres', password_required 'false');
         {table} server loop options (table_name 'base');"
    )
}

#[test]
fn views_and_foreign_and_unlogged_tables_are_read() {
    let base = PLAIN.replace("table t", "table base").replace("into t", "into base");
    holds("a view", &format!("{base} create view t as select * from base;"), "base");
    holds(
        "a materialized view",
        &format!("{base} create materialized view t as select * from base;"),
        "base",
    );
    holds("unlogged", &PLAIN.replace("create table", "create unlogged table"), "t");
    let foreign = foreign(&base, "create foreign table t (id int, v text)");
    holds("a foreign table", &foreign, "base");
}

/// Rows with a NULL in their key would not be reported: the catalog marks these columns NOT NULL,
/// but the tables can contain NULLs.
#[test]
fn null_keys_are_reported_where_not_null_proves_nothing() {
    let child = "create table t (id int not null, v text);
                 create table child () inherits (t);
                 alter table child alter id drop not null;
                 insert into t select n, 'v' || n from generate_series(1, 150) n;
                 insert into child select n, 'v' || n from generate_series(151, 300) n;
                 insert into child values (null, 'lost'), (null, 'lost too');";
    let base = PLAIN.replace("table t", "table base").replace("into t", "into base");
    let base = base.replace(" primary key", "");
    let foreign = foreign(&base, "create foreign table t (id int not null, v text)");
    let foreign = format!("{foreign} insert into base values (null, 'lost'), (null, 'lost too');");
    let partition = self::foreign(
        &format!("{base} create table t (id int not null, v text) partition by list (v);"),
        "create foreign table f partition of t default",
    );
    let partition =
        format!("{partition} insert into base values (null, 'lost'), (null, 'lost too');");
    for (kind, target) in
        [("a child", child), ("a foreign table", &foreign), ("a foreign partition", &partition)]
    {
        let pair = Pair::new(PLAIN, target);
        let spec = pair.spec(SPEC);
        let version: u32 =
            pair.sql(Side::Target, "show server_version_num").trim().parse().unwrap();
        for strategy in strategies() {
            let outcome = pair.compare(&spec, &["--strategy", strategy]);
            let outcome = outcome.balances();
            // Planners that check a foreign table's NOT NULL rely on it, and find no NULL.
            if kind == "a foreign partition" || kind == "a foreign table" && version >= 170_000 {
                let reason = outcome.exits(3).mapping()["reason"].to_string();
                assert!(reason.contains("a key is NULL"), "{kind}: {outcome:?}");
            } else {
                assert_eq!(outcome.findings(), ["t null_key target 2"], "{kind}: {outcome:?}");
                outcome.exits(1);
            }
        }
    }
}

#[test]
fn columns_count_by_name_whatever_their_order_and_history() {
    let table = "create table t (gone int, v text, also_gone text, id int generated always as identity);
                 alter table t drop column gone, drop column also_gone; alter table t add primary key (id);
                 insert into t (id, v) overriding system value select n, 'v' || n from generate_series(1, 300) n;";
    let pair = Pair::new(PLAIN, table);
    pair.compare(&pair.spec(SPEC), &[]).balances().exits(0);
    let generated = "create function said(int) returns text language sql immutable as $$ select 'v' || $1 $$;
                     create table t (id int primary key, v text generated always as (said(id)) stored);
                     insert into t select n from generate_series(1, 300) n;";
    let pair = Pair::new(PLAIN, generated);
    pair.compare(&pair.spec(SPEC), &[]).balances().exits(0);
}

fn refused(outcome: &Outcome, words: &[&str]) {
    outcome.exits(2);
    assert_eq!(outcome.stdout, "");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word} is missing:\n{}", outcome.stderr);
    }
}

/// Rows that the role may not see would be reported as missing, or not compared at all.
#[test]
fn what_hides_rows_or_columns_is_reported_first() {
    let secured = format!(
        "{PLAIN} alter table t enable row level security;
         create policy few on t using (id < 100);"
    );
    let pair = Pair::new(PLAIN, &secured);
    refused(&pair.compare(&pair.spec(SPEC), &[]), &["row-level security", "BYPASSRLS"]);

    let wider = PLAIN.replace("v text", "v text, secret text");
    let pair = Pair::new(PLAIN, &wider);
    pair.sql(Side::Target, "revoke select on t from reader; grant select (id, v) on t to reader");
    refused(&pair.compare(&pair.spec(SPEC), &[]), &["secret", "ignore"]);
    let spec = pair.spec(&format!("{SPEC}ignore = [\"secret\"]\n"));
    pair.compare(&spec, &[]).balances().exits(0);
    pair.sql(Side::Target, "revoke select (v) on t from reader");
    refused(&pair.compare(&spec, &[]), &["may not read", "v", "GRANT SELECT"]);

    let pair =
        Pair::new(PLAIN, "create materialized view t as select 1 as id, 'v' as v with no data;");
    refused(&pair.compare(&pair.spec(SPEC), &[]), &["has not been populated", "REFRESH"]);
}

/// Rows would be missing without a message: a view runs as its owner, who may not see all of them.
#[test]
fn a_view_whose_owner_sees_too_little_is_refused() {
    let hidden = "create table base (id int primary key, v text);
        insert into base select n, 'v' || n from generate_series(1, 300) n;
        alter table base enable row level security; create policy few on base using (id < 100);
        do $$ begin if not exists (select from pg_roles where rolname = 'owner_of_view') then
            create role owner_of_view; end if; end $$;
        grant select on base to owner_of_view; create view t as select * from base;
        alter view t owner to owner_of_view;";
    let pair = Pair::new(PLAIN, hidden);
    for strategy in strategies() {
        let outcome = pair.compare(&pair.spec(SPEC), &["--strategy", strategy]);
        assert_eq!(outcome.findings(), Vec::<String>::new());
        assert!([2, 3].contains(&outcome.code), "{} {}", outcome.code, outcome.stderr);
        assert!(format!("{}{}", outcome.stdout, outcome.stderr).contains("row-level security"));
    }
}
