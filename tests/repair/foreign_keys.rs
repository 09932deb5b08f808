//! Foreign keys that a repair could break, or through which it could change more than it reports:
//! seen from a partition, over columns that no mapping fills, by ON UPDATE, from a migration after
//! the report.

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, RoundTrip, same};

const DELETE: [&str; 2] = ["--kinds", "delete"];

/// Both sides are created alike and filled separately.
fn round(create: &str, source: &str, target: &str, tables: &[&str]) -> RoundTrip {
    let spec: String = tables.iter().map(|table| same(&format!("public.{table}"))).collect();
    RoundTrip::new(&format!("{create}; {source}"), &format!("{create}; {target}"), &spec)
}

/// Asserts that a guard stops the scripts of a folder with this ending, and that nothing is
/// changed.
fn stopped(round: &RoundTrip, end: &str, why: &str) {
    let before = round.state(true);
    let said: Vec<_> = round.scripts("r", end).iter().map(|script| round.psql(script)).collect();
    assert!(
        said.iter().any(|said| said.code == 3 && said.stderr.contains(why)),
        "{why}: {}",
        said.iter().map(|said| said.stderr.as_str()).collect::<String>()
    );
    assert_eq!(round.state(true), before);
}

/// Asserts that a repair is stopped in both its forms.
fn stops(round: &RoundTrip, flags: &[&str], why: &str) {
    let _ = round.compare().exits(1);
    let _ = round.repair("r", flags).exits(0);
    stopped(round, ".sql", why);
    let before = round.state(true);
    let applied = round.apply("r", &["--execute"]);
    assert!(applied.exits(1).stderr.contains(why), "{}", applied.stderr);
    assert_eq!(round.state(true), before);
}

fn parted(create: &str) -> String {
    format!(
        "{create} partition by range (id); create table p1 partition of p for values from (0) to (100);
         create table p2 partition of p for values from (100) to (200)"
    )
}

/// The partition has a copy of its parent's foreign key.
#[test]
fn a_delete_of_a_partition_reaches_what_refers_to_its_parent() {
    let p = parted("create table p (id int primary key)");
    let create =
        format!("{p}; create table c (id int primary key, p int references p on delete cascade)");
    let target = "insert into p values (1), (2); insert into c values (7, 2)";
    let round = round(&create, "insert into p values (1)", target, &["p1"]);
    stops(&round, &DELETE, "would reach 1 rows of public.c by ON DELETE CASCADE");
}

/// Rows that refer to a partition would be deleted or block the repair unannounced.
#[test]
fn a_delete_reaches_what_refers_to_a_partition() {
    let p = parted("create table p (id int primary key)");
    let create =
        format!("{p}; create table c (id int primary key, p int references p1 on delete set null)");
    let target = "insert into p values (1), (2), (102); insert into c values (7, 2)";
    let round = round(&create, "insert into p values (1)", target, &["p"]);
    stops(&round, &DELETE, "would reach 1 rows of public.c by ON DELETE SET NULL");
    // It does not refer to the rows that are deleted from the other partition.
    round.pair.sql(Side::Target, "truncate c; insert into c values (7, 1)");
    round.trip(&ALL);
}

#[test]
fn without_triggers_no_partition_takes_orphans() {
    for (x, own, mapped) in [
        ("primary key)", "references x", "p1"),
        // A foreign key does not cover the rows of a table that inherits.
        (
            "primary key)",
            "references x; create table i () inherits (x); insert into i values (8)",
            "p1",
        ),
        ("primary key) partition by range (id)", "references x", "p1"),
        ("primary key) partition by range (id)", "references x", "p"),
        ("primary key)", "; alter table p1 add foreign key (x) references x", "p"),
    ] {
        let (column, after) = own.split_once(';').unwrap_or((own, ""));
        let mut create = format!("create table x (id int {x}; ");
        if x.contains("partition") {
            create.push_str("create table x1 partition of x for values from (0) to (8); create table x2 partition of x default; ");
        }
        create += &parted(&format!("create table p (id int primary key, x int {column})"));
        create = format!("{create};{after}");
        let source = "insert into x values (7), (8); insert into p values (1, 7), (2, 8)";
        let round = round(&create, source, "insert into x values (7)", &[mapped]);
        let off = ["--triggers", "off", "--kinds", "insert,update,delete"];
        stops(&round, &off, "1 rows refer to rows of public.x that are not there");
        round.pair.sql(Side::Target, "insert into x values (8)");
        round.trip(&off);
    }
}

/// The cycle would not be detected: both its rows are in the partition, whatever table the foreign
/// key names.
#[test]
fn rows_of_a_partition_that_refer_to_each_other_go_together() {
    let create =
        parted("create table p (id int primary key, boss int references p on delete cascade)");
    let rows = "insert into p values (1, null), (2, 1), (3, 2); update p set boss = 3 where id = 1";
    for without in [&[][..], &["--no-temp"]] {
        let round = round(&create, "insert into p values (9, null)", rows, &["p1"]);
        round.trip(&[&ALL, without].concat());
    }
}

/// A cascade would delete a row that the report never showed.
#[test]
fn a_row_changed_since_the_report_is_not_deleted_by_cascade() {
    let create =
        "create table t (id int primary key, boss int references t on delete cascade, v text)";
    let target = "insert into t values (1, null, 'a'), (8, null, 'a'), (9, 8, 'b')";
    for flags in [&DELETE[..], &["--kinds", "delete", "--allow-cascade"]] {
        let round = round(create, "insert into t values (1, null, 'a')", target, &["t"]);
        let _ = round.compare().exits(1);
        let _ = round.repair("r", flags).exits(0);
        round.pair.sql(Side::Target, "update t set v = 'later' where id = 9");
        stopped(&round, ".sql", "1 of 2 rows are not as intended");
        let _ = round.apply("r", &["--execute"]).exits(1);
        assert_eq!(round.pair.sql(Side::Target, "select count(*) from t"), "3");
    }
}

#[test]
fn tables_of_a_circle_that_cascade_go_together() {
    let create = "create table a (id int primary key, b int);
        create table b (id int primary key, a int references a on delete cascade);
        alter table a add foreign key (b) references b on delete cascade";
    let fill = |id: u32| {
        format!(
            "insert into a values ({id}, null); insert into b values ({id}, {id}); update a set b = {id}"
        )
    };
    let trip = round(create, &fill(1), &fill(2), &["a", "b"]);
    trip.trip(&ALL);
    // A row outside the batch is still affected.
    let more = round(
        create,
        &fill(1),
        &format!("{}; insert into b values (1, null), (3, 2); ", fill(2)),
        &["a", "b"],
    );
    let _ = more.compare().exits(1);
    let _ = more.repair("r", &DELETE).exits(0);
    more.pair.sql(Side::Target, "insert into b values (4, 2)");
    stopped(&more, ".sql", "would reach 1 rows of public.b by ON DELETE CASCADE");
}

/// An undo would change rows beyond those that the repair wrote.
#[test]
fn an_undo_does_not_cascade_over_an_unmapped_column() {
    let source = "create table t (id int primary key, v text); insert into t values (1, 'a')";
    let target =
        "create table t (id int primary key, v text, u uuid unique default gen_random_uuid());
        create table c (u uuid references t (u) on delete cascade)";
    let spec = format!("{}target.ignore = ['u']\n", same("public.t"));
    let round = RoundTrip::new(source, target, &spec);
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    round.run_all("r", ".sql");
    round.pair.sql(Side::Target, "insert into c select u from t");
    stopped(&round, ".undo.sql", "would reach 1 rows of public.c by ON DELETE CASCADE");
}

#[test]
fn a_generated_column_that_is_referred_to_is_guarded() {
    let create = "create table t (id int primary key, n int, g int generated always as (n * 10) stored unique);
        create table c (id int primary key, g int references t (g) on delete cascade on update cascade)";
    let source = "insert into t values (1, 1), (2, 3)";
    let target =
        "insert into t values (1, 1), (2, 2), (9, 9); insert into c values (7, 20), (8, 90)";
    let round = || round(create, source, target, &["t"]);
    stops(&round(), &DELETE, "would reach 1 rows of public.c by ON DELETE CASCADE");
    stops(&round(), &["--kinds", "update"], "would reach 1 rows of public.c by ON UPDATE CASCADE");
    for kind in ["delete", "update"] {
        let off = ["--triggers", "off", "--kinds", kind];
        stops(&round(), &off, "1 rows of public.c would refer to none");
    }
}

/// With triggers switched off the server does not check foreign keys, and a repair could break one.
#[test]
fn without_triggers_keys_over_unmapped_columns_are_checked() {
    let x = "create table x (a int, b int, primary key (a, b))";
    let source =
        "create table t (id int primary key, a int); insert into t values (1, 1), (2, null)";
    let target = format!(
        "{x}; create table t (id int primary key, a int, b int default 5, foreign key (a, b) references x)"
    );
    let spec = format!("{}target.ignore = ['b']\n", same("public.t"));
    let round = RoundTrip::new(source, &target, &spec);
    let off = ["--triggers", "off", "--kinds", "insert,update,delete"];
    stops(&round, &off, "1 rows refer to rows of public.x that are not there");
    round.pair.sql(Side::Target, "insert into x values (1, 5)");
    round.trip(&off);
}

/// A key that is partly NULL would be written: only the server's own trigger rejects it.
#[test]
fn without_triggers_match_full_keys_are_not_partly_null() {
    let table = |link: &str| {
        format!(
            "create table x (a int, b int, primary key (a, b)); insert into x values (1, 1);
             create table t (id int primary key, a int, b int{link})"
        )
    };
    let off = ["--triggers", "off", "--kinds", "insert,update"];
    for (rows, refused) in [
        ("(1, 1, null), (2, null, null)", true),
        ("(2, 1, null)", true),
        ("(2, 1, 1), (3, null, null)", false),
    ] {
        let source = format!("{}; insert into t values {rows}", table(""));
        let target = format!(
            "{}; insert into t values (2, null, null)",
            table(", foreign key (a, b) references x match full")
        );
        let round = RoundTrip::new(&source, &target, &same("public.t"));
        match refused {
            true => stops(&round, &off, "1 rows refer to rows of public.x that are not there"),
            false => round.trip(&off),
        }
    }
}

#[test]
fn an_update_reaches_no_other_table_unless_it_may() {
    for (action, then) in [("cascade", "b"), ("set null", ""), ("set default", "z")] {
        let create = format!(
            "create table p (id int primary key, u text unique, v text);
             create table c (id int primary key, p text default 'z' references p (u) on update {action})"
        );
        let source = "insert into p values (1, 'b', 'w'), (2, 'z', '')";
        let target =
            "insert into p values (1, 'a', 'v'), (2, 'z', ''); insert into c values (7, 'a')";
        let round = round(&create, source, target, &["p"]);
        let action = action.to_uppercase();
        stops(
            &round,
            &[],
            &format!("the UPDATE would reach 1 rows of public.c by ON UPDATE {action}"),
        );
        let _ = round.repair("allowed", &["--allow-cascade"]).exits(0);
        let script = std::fs::read_to_string(&round.scripts("allowed", ".sql")[0]).unwrap();
        assert!(
            script.contains(&format!("-- reaches    public.c by ON UPDATE {action}")),
            "{script}"
        );
        round.run_all("allowed", ".sql");
        assert_eq!(round.pair.sql(Side::Target, "select p from c"), then);
        // Rows that already have their new values affect no other row, and neither do other
        // columns.
        round.run_all("r", ".sql");
        round.pair.sql(Side::Target, "update p set v = 'other'");
        let _ = round.compare().exits(1);
        let _ = round.repair("v", &[]).exits(0);
        round.run_all("v", ".sql");
    }
}

/// An operator who allows a delete to affect a table would miss the tables behind it, whose rows
/// are deleted too.
#[test]
fn tables_that_are_reached_through_others_are_named() {
    let deep = "create table p (id int primary key, u text unique, v text);
        create table c (id int primary key, p int references p on delete cascade,
            u text unique references p (u) on update cascade on delete cascade);
        create table \"c c\" (id int primary key, c int references c on delete cascade,
            u text references c (u) on update set null on delete cascade);
        create table n (id int primary key, c int references \"c c\" on delete set null);
        create table e (id int primary key, n int references n on delete cascade);
        create table f (id int primary key, c text references c (u));";
    let source = "insert into p values (1, 'b', 'v')";
    let target = "insert into p values (1, 'a', 'v'), (2, 'z', 'v'); insert into c values (3, 2, null), (4, null, 'a');
        insert into \"c c\" values (5, 3, null), (6, null, 'a'); insert into n values (7, 5); insert into e values (8, 7)";
    for (kind, refused, named) in [
        (
            "delete",
            "1 rows of public.c by ON DELETE CASCADE, and through them public.c%20c, public.n",
            &[
                "public.c by ON DELETE CASCADE",
                "public.c%20c by ON DELETE CASCADE of public.c",
                "public.n by ON DELETE SET NULL of public.c%20c",
            ][..],
        ),
        (
            "update",
            "1 rows of public.c by ON UPDATE CASCADE, and through them public.c%20c",
            &["public.c by ON UPDATE CASCADE", "public.c%20c by ON UPDATE SET NULL of public.c"],
        ),
    ] {
        let round = round(deep, source, target, &["p"]);
        stops(&round, &["--kinds", kind], &format!("would reach {refused}; nothing was changed"));
        let allowed = round.repair("allowed", &["--kinds", kind, "--allow-cascade"]);
        let told = &allowed.exits(0).stderr;
        let script = std::fs::read_to_string(&round.scripts("allowed", ".sql")[0]).unwrap();
        for named in named {
            let head = format!("-- reaches    {named}, which no undo takes back\n");
            assert!(script.contains(&head), "{named}: {script}");
            let file = format!("001-p-{kind}.sql reaches {named}: its undo does not");
            assert!(told.contains(&file), "{named}: {told}");
        }
        let count = |text: &str, what: &str| text.matches(what).count();
        assert_eq!(count(&script, "-- reaches "), named.len(), "{script}");
        assert_eq!(count(told, " reaches "), named.len(), "{told}");
        // These rows are indeed affected.
        let before = round.state(true);
        round.run_all("allowed", ".sql");
        let after = round.state(true);
        let same = |table: &str| {
            let of = |state: &str| -> Vec<String> {
                let rows = state.lines().filter_map(|line| line.strip_prefix(table));
                let rows = rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit()));
                rows.map(str::to_owned).collect()
            };
            of(&before) == of(&after)
        };
        assert!(!same("public.c") && !same("public.\"c c\"") && same("public.e"), "{after}");
        assert_eq!(same("public.n"), kind == "update", "{after}");
    }
}

/// NULL as a placeholder would remove the children's references.
#[test]
fn children_follow_values_that_change_hands_where_they_may() {
    let create = "create table p (id int primary key, u text unique);
        create table c (id int primary key, p text references p (u) on update cascade)";
    let source = "insert into p values (1, 'b'), (2, 'a')";
    let target = "insert into p values (1, 'a'), (2, 'b'); insert into c values (1, 'a'), (2, 'b')";
    let round = round(create, source, target, &["p"]);
    stops(&round, &[], "would reach 2 rows of public.c by ON UPDATE CASCADE");
    let _ = round.repair("allowed", &["--allow-cascade"]).exits(0);
    let children = "select string_agg(id || p, ' ' order by id) from c";
    round.run_all("allowed", ".sql");
    assert_eq!(round.pair.sql(Side::Target, children), "1b 2a");
    round.run_all("allowed", ".undo.sql");
    assert_eq!(round.pair.sql(Side::Target, children), "1a 2b");
}

#[test]
fn rows_that_are_updated_together_are_no_surprise_to_each_other() {
    let create = "create table t (id int primary key, u text unique, boss text references t (u) on update cascade)";
    round(
        create,
        "insert into t values (1, 'b', null), (2, 'x', 'b')",
        "insert into t values (1, 'a', null), (2, 'x', 'a')",
        &["t"],
    )
    .trip(&ALL);
}

/// The undo of a batch that only inserts would be invalid SQL: it gives up no value, so no row can
/// take one.
#[test]
fn an_undo_of_inserts_alone_is_valid_sql() {
    let create =
        "create table t (id int primary key, u text not null unique, boss int references t)";
    let source = "insert into t values (2, 'a', null), (1, 'x', 2), (3, 'q', null)";
    let round = round(create, source, "insert into t values (1, 'a', null)", &["t"]);
    round.trip(&["--kinds", "insert,update,delete", "--batch", "1"]);
}

/// A repair would be applied to a migrated table: these are the properties that a script's guards
/// check, and the name under which each is reported.
#[test]
fn a_table_that_was_migrated_since_is_refused_by_what_changed() {
    let create = "create table t (id int primary key, name text, note text unique);
        create table k (id int primary key, t int constraint k_t references t);
        create table l (id int primary key);
        create function f() returns trigger language plpgsql as 'begin return null; end';
        create trigger old after insert on t for each row execute function f()";
    for (migration, named) in [
        (
            "create table c (t int references t on delete cascade); insert into c values (9)",
            "foreign key c_t_fkey of public.c",
        ),
        (
            "alter table k drop constraint k_t, add constraint k_t foreign key (t) references t on delete set null",
            "foreign key k_t of public.k",
        ),
        (
            "alter table t add foreign key (id) references l not valid",
            "foreign key t_id_fkey of public.t",
        ),
        (
            "create trigger new after insert on t for each row execute function f()",
            "trigger new of public.t",
        ),
        ("alter table t disable trigger old", "trigger old of public.t"),
        (
            "alter table k drop constraint k_t; alter table t drop constraint t_pkey",
            "foreign key k_t of public.k, unique index t_pkey",
        ),
        ("create unique index one on t (lower(name))", "unique index one"),
        ("create rule r as on delete to t do also notify gone", "rule r"),
        ("alter table t alter note type varchar(9)", "column note"),
    ] {
        let spec = same("public.t").replace("]]\n", "]]\nkey = ['id']\n");
        let fill = |rows: &str| format!("{create}; insert into t values {rows}");
        let round = RoundTrip::new(
            &fill("(1, 'a', 'x'), (2, 'b', 'y')"),
            &fill("(1, 'z', 'x'), (9, 'c', 'z')"),
            &spec,
        );
        let _ = round.compare().exits(1);
        let _ = round.repair("r", &ALL).exits(0);
        let _ = round.repair("done", &["--kinds", "insert"]).exits(0);
        round.run_all("done", ".sql");
        round.pair.sql(Side::Target, migration);
        let why = format!("table public.t was changed since the repair was made: {named}");
        for script in [round.scripts("r", ".sql"), round.scripts("r", ".undo.sql")].concat() {
            let before = round.state(true);
            let said = round.psql(&script);
            assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{migration}: {}", said.stderr);
            assert!(said.stderr.contains(&why), "{migration}: {}", said.stderr);
            assert!(said.stderr.contains("Compare again and make a new one"), "{}", said.stderr);
            assert_eq!(round.state(true), before);
        }
        for flags in [&[][..], &["--execute"]] {
            let before = round.state(true);
            let outcome = round.apply("r", flags);
            assert!(outcome.exits(2).stderr.contains(&why), "{migration}: {}", outcome.stderr);
            assert!(outcome.stderr.contains("hint: Make a new one"), "{}", outcome.stderr);
            assert_eq!(round.state(true), before);
        }
    }
}

/// Repairs would be refused every day where a partition is added daily.
#[test]
fn a_new_partition_is_no_migration() {
    let create = parted("create table p (id int primary key, x int references p, v int)");
    let create = format!("{create}; create function f() returns trigger language plpgsql as 'begin return null; end';
        create trigger old after insert on p for each row execute function f()");
    let round = round(&create, "insert into p values (1, null, 1)", "", &["p"]);
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    round.pair.sql(Side::Target, "create table p3 partition of p for values from (200) to (300)");
    let _ = round.apply("r", &["--execute"]).exits(0);
    round.run_all("r", ".sql");
    round.run_all("r", ".undo.sql");
}
