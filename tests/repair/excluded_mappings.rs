//! Mappings that cannot be repaired are excluded by name, and the others are repaired.

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, RoundTrip, same};

/// `p` has a column that nothing fills, so no row can be inserted into it; `c` refers to it, `o`
/// does not.
fn round(rows: &str) -> RoundTrip {
    let create = "create table p (id int primary key, v text);
        create table c (id int primary key, p int references p, up int references c);
        create table o (id int primary key, v text);";
    let source = format!(
        "{create} insert into p values (1,'a'),(2,'b'); {rows}
         insert into c values (1,1,null),(2,2,null),(3,1,2),(4,1,1); insert into o values (1,'a'),(2,'b');"
    );
    let target = format!(
        "{create} insert into p values (1,'a'); alter table p add needed int;
         update p set needed = 1; alter table p alter needed set not null;
         insert into o values (1,'x'),(3,'c');"
    );
    let spec = ["public.c", "public.o"].map(same).concat();
    let p = same("public.p") + "target.ignore = ['needed']\n";
    RoundTrip::new(&source, &target, &format!("{spec}{p}"))
}

#[test]
fn a_mapping_that_cannot_be_repaired_leaves_the_others_alone() {
    let round = round("");
    let _ = round.compare().exits(1);
    let told = round.repair("r", &ALL);
    let why = "column \"needed\" is NOT NULL, has no default, and no pair fills it";
    let warning = format!("warning: mapping \"p\" cannot be repaired: {why}");
    assert!(told.exits(0).stderr.contains(&warning), "{}", told.stderr);
    let left = format!("left out: p: 1 row of a mapping that cannot be repaired: {why}");
    assert!(told.stdout.contains(&left), "{}", told.stdout);
    // Its row 2 needs the parent that is not inserted, and its row 3 needs row 2.
    let needs = "left out: c: 2 rows that need what rows left out have";
    assert!(told.stdout.contains(needs), "{}", told.stdout);
    let manifest = std::fs::read_to_string(round.path("r/manifest.json")).unwrap();
    assert!(manifest.contains("of a mapping that cannot be repaired"), "{manifest}");
    let before = round.state(false);
    round.run_all("r", ".sql");
    let by_psql = round.state(false);
    let rest = round.compare().exits(1).findings();
    let rest: Vec<&str> = rest.iter().map(|finding| &finding[..1]).collect();
    assert_eq!(rest, ["c", "c", "p"]);
    round.run_all("r", ".undo.sql");
    assert_eq!(round.state(false), before);
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(round.state(false), by_psql);
}

#[test]
fn a_repair_of_which_nothing_can_be_made_is_refused() {
    let round = round("");
    let _ = round.compare().exits(1);
    let refused = round.repair("r", &["--mapping", "p"]);
    let why = "mapping \"p\" cannot be repaired: column \"needed\"";
    assert!(refused.exits(2).stderr.contains(why), "{}", refused.stderr);
    assert!(!round.path("r").exists());
}

/// One mapping would stop the repair of all: findings of a redacted key do not identify their rows,
/// and queries cannot be written.
#[test]
fn every_kind_of_refusal_concerns_its_mapping_only() {
    let tables =
        "create table t (id int primary key, v text); create table q (id int primary key, v text);
        create table p (id int primary key, u text not null unique);
        create table c (id int primary key, p int references p);";
    let round = |more: &str, rows: [&str; 2]| {
        let fill = |v: &str, rows: &str| {
            format!(
                "{tables} insert into t values (1,'{v}'); insert into q values (1,'{v}'); {rows}"
            )
        };
        let spec = format!("{}{more}", same("public.t"));
        RoundTrip::new(&fill("a", rows[0]), &fill("b", rows[1]), &spec)
    };
    let redacted = same("public.q") + "columns.id = { from = 'id', redact = true }\n";
    let query = same("public.q")
        .replace("target.table = 'public.q'", "target.query = 'select * from public.q'");
    let query = query.replace("]]\n", "]]\nname = 'q'\nkey = ['id']\n");
    let waits = ["public.p", "public.c"].map(same).concat();
    let circle = [
        "insert into p values (2,'a'); insert into c values (1,2)",
        "insert into p values (1,'a'); insert into c values (1,1)",
    ];
    for (more, rows, left, why) in [
        (redacted, ["", ""], 1, "key pair \"id\" is redacted in the findings"),
        (query, ["", ""], 1, "the target is a query; only a table can be repaired"),
        (waits, circle, 3, "deletes and other changes of public.c, public.p wait for each other"),
    ] {
        let round = round(&more, rows);
        let _ = round.compare().exits(1);
        let told = round.repair("r", &ALL);
        assert!(told.exits(0).stderr.contains(why), "{why}: {}", told.stderr);
        assert!(told.stdout.contains(why), "{why}: {}", told.stdout);
        let _ = round.apply("r", &["--execute"]).exits(0);
        assert_eq!(round.pair.sql(Side::Target, "select v from t"), "a");
        assert_eq!(round.compare().exits(1).findings().len(), left, "{why}");
    }
}

/// Parents would be missed: a range of parents is one finding, which names none of their keys, and
/// a foreign key may refer to columns other than the key.
#[test]
fn children_of_a_range_that_is_left_out_are_left_out() {
    let create = "create table p (id int primary key, code text unique);
        create table c (id int primary key, p int references p, code text references p (code));";
    let source = format!(
        "{create} insert into p select n, 'c' || n from generate_series(1, 10050) n;
         insert into c values (1,1,null),(2,5000,null),(3,null,'c7000'),(4,null,'c1'),(5,null,null)"
    );
    let target = format!(
        "{create} insert into p values (1,'c1'); alter table p add needed int;
         update p set needed = 1; alter table p alter needed set not null;
         insert into c values (5,1,null)"
    );
    let p = same("public.p") + "target.ignore = ['needed']\n";
    let round = RoundTrip::new(&source, &target, &format!("{}{p}", same("public.c")));
    assert!(round.compare().exits(1).stdout.contains("\"range\""));
    let told = round.repair("r", &ALL);
    let needs = "left out: c: 2 rows that need what rows left out have";
    assert!(told.exits(0).stdout.contains(needs), "{}", told.stdout);
    let applied = round.apply("r", &["--execute"]);
    let _ = applied.exits(0);
    let ids = "select string_agg(id::text, ' ' order by id) from c where p is null or p = 1";
    assert_eq!(round.pair.sql(Side::Target, ids), "1 4 5");
}

/// Rows of `c` would lose their parents. They stay, because its keys are redacted, and so do the
/// rows to which they refer, the rows to which those refer, and all rows that would take their
/// values. By psql and by `apply`.
#[test]
fn parents_of_rows_that_stay_are_not_deleted() {
    for action in ["", "on delete cascade", "on delete set null"] {
        let create = format!(
            "create table g (id int primary key);
             create table p (id int primary key, g int references g, u text unique);
             create table c (id int primary key, p int references p {action});
             create table o (id int primary key, p int references p);"
        );
        let source = format!(
            "{create} insert into g values (1); insert into p values (1,1,'a'),(5,1,'x');
             insert into c values (1,1)"
        );
        let target = format!(
            "{create} insert into g values (1),(2),(3),(4);
             insert into p values (1,1,'a'),(2,2,'x'),(3,3,'y'),(4,null,'z');
             insert into c values (1,1),(9,2); insert into o values (1,3),(2,4)"
        );
        let spec = ["public.g", "public.p", "public.o"].map(same).concat();
        let c = same("public.c") + "columns.id = { from = 'id', redact = true }\n";
        let round = RoundTrip::new(&source, &target, &format!("{spec}{c}"));
        let _ = round.compare().exits(1);
        let told = round.repair("r", &ALL);
        for left in [
            "left out: g: 1 row that other rows still refer to",
            "left out: p: 1 row that other rows still refer to",
            "left out: p: 1 row that need what rows left out have",
        ] {
            assert!(told.exits(0).stdout.contains(left), "{left}: {}", told.stdout);
        }
        let before = round.state(false);
        round.run_all("r", ".sql");
        let by_psql = round.state(false);
        for (table, ids) in [("g", "1 2"), ("p", "1 2"), ("c", "1 9"), ("o", "")] {
            let asked = format!("select string_agg(id::text, ' ' order by id) from {table}");
            assert_eq!(round.pair.sql(Side::Target, &asked), ids, "{table}");
        }
        round.run_all("r", ".undo.sql");
        assert_eq!(round.state(false), before);
        let _ = round.apply("r", &["--execute"]).exits(0);
        assert_eq!(round.state(false), by_psql);
    }
}
