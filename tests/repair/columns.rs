//! What the columns of the written side are and can hold: expressions, modifiers, NULL, generated
//! keys.

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, RoundTrip, same};

/// The target's lower-cased values would be written to the source.
#[test]
fn a_pair_with_target_sql_is_not_written_into_the_source() {
    let table = "create table t (id int primary key, email text, name text);";
    let source = format!("{table} insert into t values (1,'Ada@x','a'),(2,'Bob@x','b');");
    let target = format!("{table} insert into t values (1,'eve@x','x'),(2,'bob@x','b');");
    let spec = format!(
        "{}[mapping.columns]\nemail = {{ from = 'email', target_sql = 'lower(email)' }}\n",
        same("public.t")
    );
    let round = RoundTrip { written: Side::Source, ..RoundTrip::new(&source, &target, &spec) };
    let _ = round.compare().exits(1);
    let refused = round.repair("r", &ALL);
    let why = "pair \"email\" is an expression of the target";
    assert!(refused.exits(2).stderr.contains(why), "{}", refused.stderr);
    assert!(!round.path("r").exists());
    let plan = round.program().args(&["plan", "spec.toml"]).run();
    let told = plan.exits(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("into the source refused: email"), "{told}");
}

/// A value that a column rounds or truncates would be reported as applied, and differ permanently.
fn left_out(source: &str, target: &str, rule: &str, values: [&str; 2], flags: &[&str]) {
    let create = |of: &str| {
        format!("create type mood as enum ('sad'); create table t (id int primary key, v {of});")
    };
    let [fits, lossy] = values;
    let round = RoundTrip::new(
        &format!(
            "{} insert into t values (1,{fits}),(2,{lossy}),(3,{fits}),(4,{lossy})",
            create(source)
        ),
        &format!("{} insert into t values (3,null),(4,null)", create(target)),
        &format!("{}[mapping.columns]\nv = {{ from = 'v'{rule} }}\n", same("public.t")),
    );
    let _ = round.compare().exits(1);
    let told = round.repair("r", flags);
    let why = format!("2 rows whose value of pair \"v\" the target's {target} does not hold");
    assert!(told.exits(0).stdout.contains(&why), "{why}: {}", told.stdout);
    let before = round.state(false);
    round.run_all("r", ".sql");
    let rest = round.compare();
    assert_eq!(rest.exits(1).findings().len(), 2, "{:?}", rest.findings());
    round.run_all("r", ".undo.sql");
    assert_eq!(round.state(false), before);
    let _ = round.apply("r", &["--execute"]).exits(0);
}

const LOSSY: [(&str, &str, [&str; 2]); 9] = [
    ("numeric", "numeric(10,2)", ["1.5", "1.005"]),
    ("numeric", "numeric(4,2)", ["5", "1000"]),
    ("timestamp", "date", ["'2026-01-01'", "'2026-01-01 10:00'"]),
    (
        "timestamp",
        "timestamp(0) without time zone",
        ["'2026-01-01 10:00'", "'2026-01-01 10:00:00.5'"],
    ),
    ("text", "name", ["'ab'", "repeat('x', 70)"]),
    ("text", "character varying(3)", ["'abc'", "'abcd'"]),
    ("bigint", "smallint", ["7", "70000"]),
    ("text", "public.mood", ["'sad'", "'none'"]),
    ("numeric", "bigint", ["7", "7.5"]),
];

#[test]
fn what_a_column_would_round_or_refuse_is_left_out_and_named() {
    for (source, target, values) in LOSSY {
        left_out(source, target, "", values, &[]);
    }
}

#[test]
fn the_same_without_temporary_tables() {
    for (source, target, values) in LOSSY {
        left_out(source, target, "", values, &["--no-temp"]);
    }
}

/// A character that the target's encoding lacks would stop a whole batch.
#[test]
fn text_the_target_cannot_encode_is_excluded_by_name() {
    let table = "create table t (id int primary key, v text);";
    let source = format!("{table} insert into t values (1, 'é'), (2, 'a€'), (3, 'ü'), (4, '日');");
    let round = RoundTrip::new(&source, "", &same("public.t"));
    let name = &round.pair.database;
    round.pair.clusters.target.sql(
        "postgres",
        &format!("drop database {name};\ncreate database {name} template template0 encoding 'LATIN1' locale 'C';"),
    );
    round.pair.sql(Side::Target, table);
    round.pair.grant(Side::Target);
    let _ = round.compare().exits(1);
    let told = round.repair("r", &[]);
    let why = "2 rows whose value of pair \"v\" the target's text does not hold";
    assert!(told.exits(0).stdout.contains(why), "{}", told.stdout);
    round.run_all("r", ".sql");
    assert_eq!(round.compare().exits(1).findings().len(), 2);
}

/// Values that differ only in form would be taken for equal: images are compared bit by bit, so 5
/// is not 5.00, and 'ab' is not its char(4) form.
#[test]
fn values_of_other_types_are_repaired_and_undone() {
    let source = "create table t (id int primary key, n numeric, i int, c text, s timestamp, r numeric);
        insert into t values (1,5,5,'ab','2026-01-01 10:00',1.005),(2,6,6,'cd','2026-01-02',2.004);";
    let target = "create table t (id int primary key, n numeric(10,2), i numeric(10,2), c char(4), s timestamp(0), r numeric(10,2));
        insert into t values (2,7,8,'x','2026-01-02',3),(9,1,1,'z','2026-01-01',4);";
    let spec = format!(
        "{}[mapping.columns]\nr = {{ from = 'r', rule = 'precision(2)' }}\n",
        same("public.t")
    );
    for flags in [&ALL[..], &["--kinds", "insert,update,delete", "--no-temp"]] {
        RoundTrip::new(source, target, &spec).trip(flags);
    }
}

/// A row would be refused: NULL and '' are one value under the rule, and the column accepts only
/// one of them.
#[test]
fn an_empty_text_stands_for_null_where_the_column_refuses_it() {
    let source = "create table t (id int primary key, v text); insert into t values (1,null),(2,null),(3,'c');";
    let target =
        "create table t (id int primary key, v text not null); insert into t values (2,'x');";
    let rule = "[mapping.columns]\nv = { from = 'v', rule = 'null_as_empty' }\n";
    let round = RoundTrip::new(source, target, &format!("{}{rule}", same("public.t")));
    round.trip(&[]);
    // Without the rule the row is named, and the other rows are written.
    let round = RoundTrip::new(source, target, &same("public.t"));
    let _ = round.compare().exits(1);
    let told = round.repair("r", &[]);
    let why = "2 rows whose value of pair \"v\" is NULL, which the target's column refuses";
    assert!(told.exits(0).stdout.contains(why), "{}", told.stdout);
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(round.pair.sql(Side::Target, "select string_agg(v, ' ' order by id) from t"), "x c");
}

/// A batch would fail: no row can be inserted under a generated key, and no deleted row can be
/// restored.
#[test]
fn a_generated_key_column_is_refused_by_name() {
    let table = "create table t (v text, a int not null, k int generated always as (a * 2) stored unique not null);";
    let source = format!("{table} insert into t values ('a', 1),('b', 2);");
    let target = format!("{table} insert into t values ('a', 1),('x', 2),('c', 3);");
    let spec = same("public.t").replace("]]\n", "]]\nkey = ['k']\n");
    let round = RoundTrip::new(&source, &target, &spec);
    let _ = round.compare().exits(1);
    let refused = round.repair("r", &ALL);
    assert!(
        refused.exits(2).stderr.contains("key column \"k\" is generated"),
        "{}",
        refused.stderr
    );
    let _ = round.repair("r", &["--kinds", "update"]).exits(0);
    round.run_all("r", ".sql");
    assert_eq!(round.compare().exits(1).findings().len(), 1);
}

/// A wide table could not be repaired: a table has 1,600 columns at most, and so has the temporary
/// one for an update's rows. It has each column with its old value, and those that the update sets
/// with the new one too.
#[test]
fn a_table_of_1600_columns_is_repaired_and_undone() {
    let columns = |count: usize| (1..count).map(|n| format!(", c{n} int")).collect::<String>();
    let round = |count: usize, sets: bool| {
        let table = format!("create table t (id int primary key{});", columns(count));
        let last = format!("c{}", count - 1);
        let value = if sets { 5 } else { 1 };
        RoundTrip::new(
            &format!("{table} insert into t (id, c1, {last}) values (1, 1, 7),(2, 2, null);"),
            &format!("{table} insert into t (id, c1, {last}) values (1, {value}, 7),(3, 3, 8);"),
            &same("public.t"),
        )
    };
    round(1600, false).trip(&ALL);
    round(1599, true).trip(&ALL);
    let round = round(1600, true);
    let _ = round.compare().exits(1);
    let refused = round.repair("r", &ALL);
    let why = "its updates hold more values a row than the 1600 columns that a table has";
    assert!(refused.exits(2).stderr.contains(why), "{}", refused.stderr);
    assert!(!round.path("r").exists());
    let _ = round.repair("r", &["--kinds", "insert,delete"]).exits(0);
}

/// A secret could be printed: a function's error message can contain any text.
#[test]
fn what_a_trigger_raises_is_not_repeated_whatever_its_code() {
    for code in ["U0001", "38000", "42501", "55P03", "XX000", "57014"] {
        let table = "create table t (id int primary key, v text);";
        let round = RoundTrip::new(
            &format!("{table} insert into t values (1, 'precious');"),
            table,
            &same("public.t"),
        );
        let _ = round.compare().exits(1);
        round.pair.sql(
            Side::Target,
            &format!(
                "create function f() returns trigger language plpgsql as $$ begin
                 raise 'no % here', new.v using errcode = '{code}', hint = 'not ' || new.v; end $$;
                 create trigger f before insert on t for each row execute function f();"
            ),
        );
        let _ = round.repair("r", &[]).exits(0);
        let refused = round.apply("r", &["--execute"]);
        assert_ne!(refused.code, 0);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(!said.contains("precious"), "{code}: {said}");
        assert!(said.contains(code), "{said}");
    }
}

/// A reviewer who reads that something stays unchanged would search for it in vain.
#[test]
fn computed_columns_are_not_reported_as_left_out() {
    let table =
        "create table t (id int primary key, a int, g int generated always as (a * 2) stored);";
    let fill = |a: i32| format!("{table} insert into t (id, a) values (1, {a})");
    let round = RoundTrip::new(&fill(1), &fill(2), &same("public.t"));
    let _ = round.compare().exits(1);
    let said = round.repair("r", &[]);
    assert!(!said.exits(0).stdout.contains("left out"), "{}", said.stdout);
    let _ = round.apply("r", &["--execute"]).exits(0);
    let _ = round.compare().exits(0);
}
