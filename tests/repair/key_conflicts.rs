//! Keys that another row of the written table has already, so that no INSERT can run: rows outside
//! the mapping's `where`, and keys that are equal to the table though compare distinguishes them.

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, RoundTrip, same};

fn round(create: &str, source: &str, target: &str, spec: &str) -> RoundTrip {
    let fill = |rows: &str| format!("{create}; {rows}");
    RoundTrip::new(&fill(source), &fill(target), spec)
}

fn of_t(create: &str, source: &str, target: &str, spec: &str) -> RoundTrip {
    let fill = |rows: &str| format!("insert into t values {rows}");
    round(create, &fill(source), &fill(target), spec)
}

/// Runs the whole round trip of a repair that excludes rows: compare reports exactly so many rows
/// again.
fn trip_but(round: &RoundTrip, flags: &[&str], told: &[&str], stay: usize) {
    let first = round.compare().exits(1).findings();
    let said = round.repair("r", flags);
    for told in told {
        assert!(said.exits(0).stdout.contains(told), "{}", said.stdout);
    }
    if round.scripts("r", ".sql").is_empty() {
        assert_eq!(first.len(), stay, "{first:#?}");
        return;
    }
    let takes_back = || {
        let before = round.state(true);
        round.run_all("r", ".undo.sql");
        assert_ne!(round.state(true), before);
        assert_eq!(round.compare().exits(1).findings(), first);
        let before = round.state(true);
        round.run_all("r", ".undo.sql");
        assert_eq!(round.state(true), before);
    };
    round.run_all("r", ".sql");
    let by_psql = round.state(false);
    let rest = round.compare().findings();
    assert_eq!(rest.len(), stay, "{rest:#?}");
    assert!(rest.iter().all(|finding| first.contains(finding)), "{rest:#?}");
    let before = round.state(true);
    round.run_all("r", ".sql");
    assert_eq!(round.state(true), before);
    takes_back();
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(round.state(false), by_psql);
    let before = round.state(true);
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(round.state(true), before);
    takes_back();
}

fn living(table: &str) -> String {
    format!(
        "[[mapping]]\nsource.table = '{table}'\nsource.where = 'not deleted'\ntarget.table = '{table}'\ntarget.where = 'not deleted'\n"
    )
}

#[test]
fn a_row_whose_key_a_deleted_one_has_is_left_out() {
    let create = "create table t (id int primary key, deleted bool not null, place text)";
    let (source, target) =
        ("(1,false,'a'),(2,false,'b'),(3,false,'c')", "(1,false,'b'),(2,true,'b')");
    for flags in [&[][..], &ALL] {
        let round = of_t(create, source, target, &living("public.t"));
        let told = "t: 1 row whose key a row of the target has that the mapping leaves out";
        trip_but(&round, flags, &[told], 1);
    }
    let round = of_t(create, target, source, &living("public.t"));
    let round = RoundTrip { written: Side::Source, ..round };
    let told = "t: 1 row whose key a row of the source has that the mapping leaves out";
    trip_but(&round, &ALL, &[told], 1);
    // Nothing is left to do.
    let round = of_t(create, "(2,false,'b')", "(2,true,'b')", &living("public.t"));
    trip_but(&round, &[], &["t: 1 row whose key a row of the target has"], 1);
}

/// The script would find the row although no index distinguishes the two.
#[test]
fn a_row_with_a_deleted_rows_key_is_excluded_without_index() {
    let create = "create table t (id int not null, k text, deleted bool not null);
        create unique index on t (id, k) where not deleted";
    let spec = format!("{}key = ['id', 'k']\n", living("public.t"));
    let round = of_t(create, "(1,'x',false),(2,'y',false)", "(2,'y',true)", &spec);
    let told = "t: 1 row whose key a row of the target has that the mapping leaves out";
    trip_but(&round, &[], &[told], 1);
}

#[test]
fn a_row_that_moved_to_another_tenant_is_left_out() {
    let create =
        "create table t (place int, tenant int not null, k int, h int, primary key (k, place))";
    let side = |side: &str| {
        format!(
            "{side}.table = 'public.t'\n{side}.where = 'tenant = any(:tenants) and place > 0'\n"
        )
    };
    let spec = format!(
        "[params]\ntenants = {{ type = 'int[]', default = '{{1,3}}' }}\n[[mapping]]\n{}{}",
        side("source"),
        side("target")
    );
    let (source, target) = ("(1,1,1,0),(2,3,2,0),(3,2,3,0),(4,1,4,0)", "(1,2,1,0),(3,1,3,0)");
    let told = "t: 1 row whose key a row of the target has that the mapping leaves out";
    trip_but(&of_t(create, source, target, &spec), &ALL, &[told], 1);
}

/// A row that moves between mappings would stay missing: another mapping's deletes may make room,
/// and then the next repair inserts it.
#[test]
fn a_row_that_moves_between_mappings_comes_the_next_time() {
    let create = "create table t (id int primary key, tenant int not null, v text)";
    let mapping = |name: &str, tenant: u32| {
        let side =
            |side: &str| format!("{side}.table = 'public.t'\n{side}.where = 'tenant = {tenant}'\n");
        format!("[[mapping]]\nname = '{name}'\n{}{}", side("source"), side("target"))
    };
    let spec = [mapping("a", 1), mapping("b", 2)].concat();
    let round = of_t(create, "(1,1,'a'),(2,2,'b'),(3,1,'c')", "(1,2,'a'),(2,1,'b')", &spec);
    let told = ["a: 1 row whose key a row", "b: 1 row whose key a row"];
    trip_but(&round, &ALL, &told, 2);
    round.run_all("r", ".sql");
    round.trip(&ALL);
}

/// A text key with a case-insensitive collation or type.
const LETTERS: [&str; 3] = [
    "create extension citext; create table t (id citext primary key, v text)",
    "create schema ext; create extension citext schema ext; create domain letters as ext.citext;
     create table t (id letters primary key, v text)",
    "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
     create table t (id text collate nocase primary key, v text)",
];

/// An INSERT would fail on a key that is equal under the table's equality, and stop its whole
/// batch.
#[test]
fn a_key_taken_in_other_letters_is_excluded_unless_freed() {
    for create in LETTERS {
        let (source, target) = ("('A','1'),('b','2'),('c','3')", "('a','1'),('b','x'),('d','4')");
        let told = [
            "t: 1 row whose key another row of the target has, equal if not the same",
            "to delete",
        ];
        // Only rows in the other spelling remain, and rows that were not to be deleted.
        trip_but(&of_t(create, source, target, &same("public.t")), &[], &told, 3);
        let flags = [&ALL[..], &["--batch", "1", "--no-temp"]].concat();
        trip_but(&of_t(create, source, target, &same("public.t")), &flags, &[], 0);
    }
    of_t(LETTERS[2], "('A','1'),('b','2')", "('a','1'),('d','4')", &same("public.t")).trip(&ALL);
}

/// The script would find the deleted row's key taken, and stop a whole batch.
#[test]
fn a_deleted_rows_key_in_other_letters_is_excluded() {
    for create in LETTERS {
        let create = create.replace("v text", "v text, deleted bool not null");
        let round = of_t(
            &create,
            "('A','1',false),('B','2',false),('c','3',false)",
            "('a','1',true),('b','2',false)",
            &living("public.t"),
        );
        let told = "t: 1 row whose key a row of the target has that the mapping leaves out";
        trip_but(&round, &ALL, &[told], 1);
    }
}

/// Two rows would conflict: the source distinguishes both keys and the target does not.
#[test]
fn of_two_rows_whose_keys_are_equal_to_the_target_one_comes() {
    for create in LETTERS {
        let source = "create table t (id text primary key, v text); insert into t values ('A','1'),('a','2'),('b','3')";
        let round = RoundTrip::new(source, create, &same("public.t"));
        let told = "t: 1 row whose key another row to insert has, equal if not the same";
        trip_but(&round, &[], &[told], 1);
        // The other one matches, and so is never deleted.
        round.run_all("r", ".sql");
        let told = "t: 1 row whose key another row of the target has, equal if not the same";
        let _ = round.compare().exits(1);
        assert!(round.repair("again", &ALL).stdout.contains(told));
    }
}

#[test]
fn a_row_whose_key_is_equal_and_written_otherwise_is_left_out() {
    for (of, ours, theirs) in [
        ("interval", "1 day", "24:00:00"),
        ("jsonb", "{\"a\": 1.0}", "{\"a\": 1}"),
        ("numrange", "[1.0,2)", "[1,2)"),
        ("numeric[]", "{1.0}", "{1}"),
    ] {
        let create = format!("create table t (id {of} primary key, v int)");
        let (source, target) = (format!("('{ours}',1)"), format!("('{theirs}',1)"));
        let round = of_t(&create, &source, &target, &same("public.t"));
        let told = "t: 1 row whose key another row of the target has, equal if not the same";
        trip_but(&round, &[], &[told], 2);
        // With a row in its place it may have to be inserted in two steps.
        for folder in ["first", "second"] {
            if round.compare().findings().is_empty() {
                continue;
            }
            let _ = round.repair(folder, &ALL).exits(0);
            round.run_all(folder, ".sql");
            let before = round.state(true);
            round.run_all(folder, ".sql");
            assert_eq!(round.state(true), before);
        }
        let _ = round.compare().exits(0);
    }
}

/// Rows would be excluded without need: where compare takes two keys for one, their rows are one
/// pair, whatever bytes the keys have.
#[test]
fn keys_equal_to_compare_are_updated_whatever_their_bytes() {
    let (one, two) = ("(1.0,'a'),(2,'b'),(3.00,'c')", "(1.00,'x'),(2.0,'b'),(4,'d')");
    for of in ["numeric", "numeric(8,3)", "float8"] {
        let create = |of: &str| format!("create table t (id {of} primary key, v text)");
        for (source, target) in [(one, two), ("(-0.0,'a'),(1,'b')", "(0.0,'x')")] {
            let source = format!("{}; insert into t values {source}", create("numeric"));
            let source = if of == "float8" { source.replace("numeric", of) } else { source };
            let target = format!("{}; insert into t values {target}", create(of));
            RoundTrip::new(&source, &target, &same("public.t")).trip(&ALL);
        }
    }
}

const FAMILY: &str = "create table p (id int primary key, code text unique, deleted bool not null);
    create table c (id int primary key, p int references p, code text references p (code))";

/// A child would be excluded although its parent is in the table, outside the mapping.
#[test]
fn a_child_of_a_row_that_is_there_all_the_same_comes() {
    let spec = [living("public.p"), same("public.c")].concat();
    let round = round(
        FAMILY,
        "insert into p values (1,'x',false),(2,'y',false); insert into c values (1,1,null),(2,2,null)",
        "insert into p values (1,'z',true)",
        &spec,
    );
    let told = "p: 1 row whose key a row of the target has that the mapping leaves out";
    trip_but(&round, &[], &[told], 1);
}

/// A child would be written whose foreign key refers to no row, and stop its whole batch.
#[test]
fn a_child_of_an_excluded_row_is_excluded_with_it() {
    let spec = [living("public.p"), same("public.c")].concat();
    let round = round(
        FAMILY,
        "insert into p values (1,'x',false),(2,'y',false); insert into c values (1,1,'x'),(2,2,'y')",
        "insert into p values (1,'z',true)",
        &spec,
    );
    let told = [
        "p: 1 row whose key a row of the target has that the mapping leaves out",
        "c: 1 row that need what rows left out have",
    ];
    trip_but(&round, &[], &told, 2);
}

/// A text child would not find its parent, whose key is spelled in another case.
#[test]
fn a_child_of_a_row_that_is_there_in_other_letters_comes() {
    for create in LETTERS {
        let of = create.rsplit_once("(id ").unwrap().1.replace(" primary key, v text)", "");
        let create = format!("{create}; create table c (id int primary key, p {of} references t)");
        let spec = ["public.t", "public.c"].map(same).concat();
        let round = round(
            &create,
            "insert into t values ('A','1'),('b','2'); insert into c values (1,'A'),(2,'b')",
            "insert into t values ('a','1')",
            &spec,
        );
        let told = "t: 1 row whose key another row of the target has, equal if not the same";
        trip_but(&round, &[], &[told], 2);
    }
}
