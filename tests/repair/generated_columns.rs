//! Generated columns whose expression returns another value than the other side has: no statement
//! can set them, so such rows are named before and after they are written.

use pgreconcile::repair::Manifest;
use pgreconcile::schema::Side;

use crate::support::round_trip::{RoundTrip, same};

#[test]
fn rows_that_a_generated_column_keeps_apart_are_named() {
    let source = "create table t (id int primary key, a int, c char(3), g int, h text);
        insert into t values (1,1,'x',3,'x1'),(2,2,'x',4,'x2'),(3,5,'y',10,'y5'),(4,2,'y',6,'y2'),(5,1,'z',9,'z1');";
    let target = "create table t (id int primary key, a int, c char(3),
            g int generated always as (a * 3) stored,
            h text generated always as (c::text || a::text) stored);
        insert into t (id, a, c) values (3,1,'y'),(4,1,'y'),(5,1,'z');";
    let round = RoundTrip::new(source, target, &same("public.t"));
    let _ = round.compare().exits(1);
    let told = round.repair("r", &[]);
    let still = "still different: t: 1 row in pair \"g\", which the target computes";
    assert_eq!(told.exits(0).stdout.matches(still).count(), 2, "{}", told.stdout);
    let only = "left out: t: 1 row that differ only in \"g\", which the target computes";
    assert!(told.stdout.contains(only) && !told.stdout.contains("pair \"h\""), "{}", told.stdout);
    for script in round.scripts("r", ".sql") {
        let text = std::fs::read_to_string(script).unwrap();
        let (head, _) = text.split_once("\\set ").unwrap();
        assert!(head.contains("differs    1 row still in g, which the target computes"), "{head}");
    }
    let applied = round.apply("r", &["--execute"]);
    assert!(applied.exits(1).stdout.contains("of which 2 agree now"), "{}", applied.stdout);
    let why = "mapping \"t\": 2 rows differ in pair \"g\", which the target computes";
    assert!(applied.stderr.contains(why), "{}", applied.stderr);
    // The result is as announced.
    let rest = round.compare();
    let rest: Vec<String> = rest.exits(1).findings();
    assert_eq!(rest.len(), 3, "{rest:#?}");
    assert!(rest.iter().all(|finding| !finding.contains(" a: ")), "{rest:#?}");
}

/// A wrong value would be announced: what a default will fill in is not known before, so it is not
/// reported.
#[test]
fn nothing_is_foretold_of_what_a_default_decides() {
    let source = "create table t (id int primary key, g int); insert into t values (1,14);";
    let target = "create table t (id int primary key, n int default 7,
        g int generated always as (n * 2) stored);";
    let spec = format!("{}target.ignore = ['n']\n", same("public.t"));
    let round = RoundTrip::new(source, target, &spec);
    let _ = round.compare().exits(1);
    let told = round.repair("r", &[]);
    assert!(!told.exits(0).stdout.contains("different"), "{}", told.stdout);
    let _ = round.apply("r", &["--execute"]).exits(0);
    let _ = round.compare().exits(0);
    let manifest = std::fs::read_to_string(round.path("r").join(Manifest::FILE)).unwrap();
    assert!(!manifest.contains("differ"), "{manifest}");
    let rows = round.pair.sql(Side::Target, "select n, g from t");
    assert_eq!(rows, "7|14");
}
