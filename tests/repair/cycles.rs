//! Rows that depend on each other: foreign keys in a cycle, tables that refer to themselves, unique
//! values that are exchanged.

use std::fmt::Write;

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, RoundTrip, same};

fn round(create: &str, source: &str, target: &str, tables: &[&str]) -> RoundTrip {
    let spec: String = tables.iter().map(|table| same(&format!("public.{table}"))).collect();
    RoundTrip::new(&format!("{create}; {source}"), &format!("{create}; {target}"), &spec)
}

fn script(round: &RoundTrip, part: &str) -> String {
    let scripts = round.scripts("repair", ".sql");
    let script = scripts.iter().find(|path| path.to_str().unwrap().contains(part));
    std::fs::read_to_string(script.unwrap_or_else(|| panic!("{part}: {scripts:?}"))).unwrap()
}

/// No order of the tables would work: neither table's rows can be inserted or deleted before the
/// other's, whatever the constraints allow.
#[test]
fn tables_that_refer_to_each_other_share_a_script() {
    for (null, delete) in
        [("", ""), ("not null", ""), ("not null", "on delete restrict"), ("", "deferrable")]
    {
        let create = format!(
            "create table a (id int primary key, b int {null}, v text);
             create table b (id int primary key, a int {null} references a {delete}, v text);
             alter table a add foreign key (b) references b {delete} deferrable"
        );
        let fill = |rows: &str| {
            format!(
                "begin; set constraints all deferred; alter table b disable trigger all; {rows} alter table b enable trigger all; commit"
            )
        };
        let create = create.replace("deferrable deferrable", "deferrable");
        let source = fill(
            "insert into b values (1,1,'x'),(2,2,'y'),(3,1,'z'); insert into a values (1,1,'x'),(2,2,'y');",
        );
        let target = fill(
            "insert into b values (1,1,'w'),(8,9,'y'); insert into a values (1,1,'x'),(9,8,'y');",
        );
        let round = round(&create, &source, &target, &["a", "b"]);
        round.trip(&ALL);
        let text = script(&round, "a+b-insert");
        assert!(
            text.starts_with(
                "-- pgreconcile 0.1.0: INSERT into public.a, 1 row; INSERT into public.b, 2 rows"
            ),
            "{text}"
        );
        assert!(script(&round, "a+b-delete").contains("WITH stage1 AS (\nDELETE FROM"));
    }
}

#[test]
fn a_circle_of_three_tables_in_batches() {
    let create = "create table a (id int primary key, c int not null); create table b (id int primary key, a int not null references a);
        create table c (id int primary key, b int not null references b); alter table a add foreign key (c) references c";
    // Each row of a table refers to one of each other table: 30 cycles of three rows.
    let rows = |from: u32, to: u32| {
        format!(
            "with a1 as (insert into a select n, n from generate_series({from}, {to}) n),
             b1 as (insert into b select n, n from generate_series({from}, {to}) n)
             insert into c select n, n from generate_series({from}, {to}) n;"
        )
    };
    let round = round(create, &rows(1, 30), &rows(31, 33), &["a", "b", "c"]);
    round.trip(&["--kinds", "insert,update,delete", "--batch", "10"]);
    assert!(script(&round, "a+b+c-insert").contains("of at most 90 rows"));
}

/// Every child would be inserted before its parent in the order of the key.
#[test]
fn a_self_referencing_table_is_written_parents_first() {
    let create = "create table t (id int primary key, boss int references t, v text)";
    let mut source = String::new();
    for id in (1..=97).rev() {
        let boss = if id == 97 { "null".to_owned() } else { (id + 1).to_string() };
        let _ = writeln!(source, "insert into t values ({id}, {boss}, 'v');");
    }
    // These two are each other's boss, and a third one has one of them as its boss.
    source.push_str("insert into t values (200, null), (201, 200), (202, 201); update t set boss = 201 where id = 200;");
    let target = "insert into t values (300, null), (299, 300), (298, 299), (297, 298)";
    let round = round(create, &source, target, &["t"]);
    round.trip(&["--kinds", "insert,update,delete", "--batch", "10"]);
    let rows = |text: &str| -> Vec<usize> {
        let parts = text.split(" FROM STDIN;\n").skip(1);
        parts.map(|part| part.split("\\.\n").next().unwrap().lines().count()).collect()
    };
    let text = script(&round, "t-insert");
    assert_eq!(rows(&text), [10, 10, 10, 10, 10, 10, 10, 10, 10, 7, 3]);
    assert!(text.contains("batches    11, each one transaction of at most 10 rows"), "{text}");
}

#[test]
fn values_of_unique_indexes_change_hands() {
    for (column, values) in [
        ("text unique", ["'a'", "'b'", "'c'"]),
        ("text not null unique", ["'a'", "'b'", "'c'"]),
        ("varchar(9) not null unique", ["'a'", "'b'", "'c'"]),
        ("int not null unique check (u > 0)", ["1", "2", "3"]),
        ("numeric(9,2) not null unique", ["1.5", "2.5", "3.5"]),
        (
            "uuid not null unique",
            [
                "'00000000-0000-0000-0000-000000000001'",
                "'00000000-0000-0000-0000-000000000002'",
                "'00000000-0000-0000-0000-000000000003'",
            ],
        ),
        ("date not null unique", ["'2026-01-01'", "'2026-01-02'", "'2026-01-03'"]),
        ("timestamptz not null unique", ["'2026-01-01'", "'2026-01-02'", "'2026-01-03'"]),
        ("bytea not null unique deferrable", ["'a'", "'b'", "'c'"]),
        ("inet unique", ["'10.0.0.1'", "'10.0.0.2'", "'10.0.0.3'"]),
    ] {
        // Rows of another table refer to these, so they cannot be deleted and inserted again.
        let create = format!(
            "create table t (id int primary key, u {column}, v int); create table c (t int references t on delete cascade)"
        );
        let [a, b, c] = values;
        let source = format!(
            "insert into t values (1,{b},1),(2,{c},2),(3,{a},3),(4,null,4); insert into c values (1),(2)"
        );
        let target = format!(
            "insert into t values (1,{a},1),(2,{b},2),(3,{c},3),(4,null,4); insert into c values (1),(2)"
        );
        let lone = |sql: String| {
            if column.contains("not null") { sql.replace(",(4,null,4)", "") } else { sql }
        };
        let round = round(&create, &lone(source), &lone(target), &["t"]);
        round.trip(&ALL);
        assert_eq!(round.pair.sql(Side::Target, "select count(*) from c"), "2");
        let parked = script(&round, "update").contains("-- exchanges  values of u");
        assert_eq!(parked, !column.contains("deferrable"), "{column}");
        // Batches smaller than the cycle do not split it.
        let round = RoundTrip { pair: round.pair, spec: round.spec, written: Side::Target };
        let _ = round.compare().exits(1);
        let _ = round.repair("small", &["--batch", "1"]).exits(0);
        let _ = round.apply("small", &["--execute"]).exits(0);
        let _ = round.compare().exits(0);
    }
}

/// A unique index would be violated: 1 takes the value of 2, 2 takes that of 3, and so on, one
/// after the other, each in a batch of its own.
#[test]
fn a_chain_of_values_runs_in_the_order_in_which_they_come_free() {
    let create = "create table t (list int, id int, place int not null, primary key (list, id), unique (list, place))";
    let fill = |shift: u32| {
        format!(
            "insert into t select l, n, n + {shift} from generate_series(1, 2) l, generate_series(1, 30) n"
        )
    };
    for (source, target) in [(1, 0), (0, 1)] {
        let round = round(create, &fill(source), &fill(target), &["t"]);
        round.trip(&["--batch", "7"]);
    }
}

#[test]
fn values_pass_between_rows_that_come_go_and_stay() {
    let create =
        "create table t (id int primary key, u text not null unique, boss int references t)";
    for (source, target) in [
        // 2 is inserted and takes the value that 1 gives up; 3 takes that of 4; 5 is inserted and
        // takes that of 6.
        ("(1,'x',null),(2,'a',null)", "(1,'a',null)"),
        ("(3,'b',null)", "(3,'c',null),(4,'b',null)"),
        ("(5,'d',null)", "(6,'d',null)"),
        // 1 gives up a value to 2, which is inserted and becomes the boss of 1, all in one
        // statement.
        ("(2,'a',null),(1,'x',2)", "(1,'a',null)"),
    ] {
        let fill = |rows: &str| format!("insert into t values {rows}");
        round(create, &fill(source), &fill(target), &["t"]).trip(&ALL);
    }
}

#[test]
fn values_of_an_index_with_expressions_change_hands() {
    let create = "create table t (id int primary key, mail text, gone bool not null default false);
        create unique index on t (lower(mail)) where not gone";
    let source = "insert into t values (1,'B@x',false),(2,'a@x',false),(3,'c@x',true)";
    let target = "insert into t values (1,'A@x',false),(2,'b@x',false),(3,'c@x',true)";
    round(create, source, target, &["t"]).trip(&ALL);
}

/// A child would lose its parent: it moves from the parent that is deleted to the inserted one that
/// takes its name.
#[test]
fn a_cycle_of_deletes_and_other_changes_is_refused_by_name() {
    let create = "create table p (id int primary key, u text not null unique);
        create table c (id int primary key, p int references p)";
    let round = round(
        create,
        "insert into p values (2,'a'); insert into c values (1,2)",
        "insert into p values (1,'a'); insert into c values (1,1)",
        &["p", "c"],
    );
    let _ = round.compare().exits(1);
    let refused = round.repair("r", &ALL);
    assert!(
        refused.exits(2).stderr.contains("deletes and other changes of public.c, public.p wait"),
        "{}",
        refused.stderr
    );
    assert!(!round.path("r").exists());
}

/// Either of them alone would leave rows whose reference has no target.
#[test]
fn a_code_and_the_rows_that_refer_to_it_change_together() {
    for deferred in ["", "deferrable initially deferred"] {
        let create = format!(
            "create table p (id int primary key, code text not null unique, v int);
            create table c (id int primary key, code text references p (code) {deferred}, w int);"
        );
        let fill = |p: &str, c: &str| {
            format!("{create} insert into p values {p}; insert into c values {c}")
        };
        let source =
            fill("(1,'a2'),(2,'b2'),(3,'c')", "(1,'a2'),(2,'a2'),(3,'b2'),(4,'c'),(5,'a2')");
        let target = fill("(1,'a'),(2,'b'),(3,'c')", "(1,'a'),(2,'a'),(3,'b'),(4,'b'),(5,'c')");
        let spec = ["public.p", "public.c"].map(same).concat();
        let round = RoundTrip::new(&source, &target, &spec);
        round.trip(&["--batch", "1"]);
    }
    // A table that refers to itself by a column that changes.
    let create =
        "create table t (id int primary key, code text unique, above text references t (code));";
    let source = format!("{create} insert into t values (1,'a2',null),(2,'b2','a2'),(3,'c','b2')");
    let target = format!("{create} insert into t values (1,'a',null),(2,'b','a'),(3,'c','b')");
    RoundTrip::new(&source, &target, &same("public.t")).trip(&["--batch", "1"]);
}

/// The row that refers to a code would block it: this row is deleted before the code changes.
#[test]
fn a_row_goes_before_what_it_refers_to_changes() {
    let create = "create table p (id int primary key, code text not null unique);
        create table c (id int primary key, code text references p (code));";
    let source = format!("{create} insert into p values (1,'new')");
    let target = format!("{create} insert into p values (1,'old'); insert into c values (1,'old')");
    let spec = ["public.p", "public.c"].map(same).concat();
    RoundTrip::new(&source, &target, &spec).trip(&ALL);
}
