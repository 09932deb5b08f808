//! Unique indexes whose values only the server can compute, and exclusion constraints: the row that
//! frees a value is written before the row that takes it, and where no placeholder is possible,
//! rows are excluded by name.

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, RoundTrip, same};

fn round(create: &str, source: &str, target: &str) -> RoundTrip {
    let fill = |rows: &str| format!("{create}; insert into t values {rows}");
    RoundTrip::new(&fill(source), &fill(target), &same("public.t"))
}

/// Asserts that excluded rows are reported; the rest runs by psql and by `apply`, and is undone.
fn left_out(round: &RoundTrip, flags: &[&str], told: &str) {
    let first = round.compare().exits(1).findings();
    let said = round.repair("r", flags);
    assert!(said.exits(0).stdout.contains(told), "{}", said.stdout);
    if !round.scripts("r", ".sql").is_empty() {
        round.run_all("r", ".sql");
        let by_psql = round.state(false);
        assert_ne!(round.compare().exits(1).findings(), first);
        round.run_all("r", ".undo.sql");
        assert_eq!(round.compare().exits(1).findings(), first);
        let _ = round.apply("r", &["--execute"]).exits(0);
        assert_eq!(round.state(false), by_psql);
        round.run_all("r", ".undo.sql");
    }
    assert_eq!(round.compare().exits(1).findings(), first);
}

const PARTIAL: &str =
    "create table t (id int primary key, user_id int not null, active bool not null);
    create unique index u on t (user_id) where active";

#[test]
fn the_active_one_of_a_partial_index_changes() {
    let (one, two) = ("(1,7,true),(2,7,false)", "(1,7,false),(2,7,true)");
    for (source, target) in [(one, two), (two, one)] {
        for written in Side::BOTH {
            RoundTrip { written, ..round(PARTIAL, source, target) }.trip(&[]);
        }
    }
}

#[test]
fn a_row_comes_after_another_frees_its_value_of_a_partial_index() {
    round(PARTIAL, "(1,7,false),(2,7,true)", "(1,7,true)").trip(&[]);
    round(PARTIAL, "(1,7,true),(2,7,false)", "(3,7,true),(2,7,false)").trip(&ALL);
}

#[test]
fn a_row_comes_after_another_frees_its_value_of_an_expression() {
    let create = "create table t (id int primary key, mail text not null);
        create unique index u on t (lower(mail))";
    round(create, "(1,'new@x'),(2,'old@x')", "(1,'old@x')").trip(&[]);
    round(create, "(1,'A@x'),(2,'c@x')", "(1,'b@x'),(3,'a@x')").trip(&ALL);
    // A text could be a placeholder, but the expression's result for it is not known.
    let swap = round(create, "(1,'B@x'),(2,'a@x'),(3,'c')", "(1,'A@x'),(2,'b@x'),(3,'d')");
    left_out(&swap, &[], "t: 2 rows that take values of unique index \"u\"");
}

/// A placeholder would be stored as a value: NULL is none where the expression returns a value for
/// it.
#[test]
fn an_expression_that_maps_null_to_a_value_allows_no_null() {
    let create = "create table t (id int primary key, mail text);
        create unique index u on t (coalesce(lower(mail), ''))";
    let swap = round(create, "(1,'B'),(2,'a'),(3,'c')", "(1,'A'),(2,'b'),(3,'d')");
    left_out(&swap, &[], "t: 2 rows that take values of unique index \"u\"");
}

/// A unique index would be violated: spellings that are one value to the index are two texts.
#[test]
fn texts_that_are_one_to_a_collation_change_hands() {
    let create = "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        create table t (id int primary key, name text collate nocase not null unique)";
    let (source, target) = ("(1,'Ann'),(2,'Bob')", "(1,'bob'),(2,'ann')");
    round(create, source, target).trip(&[]);
    round(create, "(1,'Ann'),(2,'Bob')", "(1,'bob')").trip(&[]);
    // NULL is the placeholder where it is allowed; an extension's type has no other.
    let create =
        "create extension citext; create table t (id int primary key, name citext unique, v int)";
    let (source, target) =
        ("(1,'Ann',1),(2,'Bob',1),(3,'c',1)", "(1,'bob',1),(2,'ann',1),(3,'c',2)");
    round(create, source, target).trip(&["--batch", "1"]);
    let swap = round(&create.replace("unique", "not null unique"), source, target);
    left_out(&swap, &[], "t: 2 rows that take values of unique index \"t_name_key\"");
}

/// One conflict of an exclusion constraint would keep every other row from being repaired.
#[test]
fn an_exclusion_constraint_excludes_only_its_own_rows() {
    let create = "create extension btree_gist; create table t (id int primary key, room int not null, at int4range not null, exclude using gist (room with =, at with &&))";
    let swap = round(
        create,
        "(1,1,'[5,9)'),(2,1,'[1,5)'),(3,2,'[1,4)')",
        "(1,1,'[1,5)'),(2,1,'[5,9)'),(3,2,'[1,9)')",
    );
    left_out(&swap, &[], "t: 2 rows that take values of unique index \"t_room_at_excl\"");
}

#[test]
fn nulls_that_are_alike_change_hands() {
    let create = "create table t (id int primary key, v int unique nulls not distinct)";
    round(create, "(1,null),(2,8)", "(1,8),(2,null)").trip(&[]);
    round(create, "(1,8),(2,null)", "(1,null)").trip(&[]);
}

#[test]
fn values_of_a_generated_column_that_change_hands_are_left_out() {
    let create = "create table t (id int primary key, v int not null, g int generated always as (v * 2) stored unique)";
    let fill = |rows: &str| format!("{create}; insert into t (id, v) values {rows}");
    let round = |source: &str, target: &str| {
        RoundTrip::new(&fill(source), &fill(target), &same("public.t"))
    };
    let swap = round("(1,2),(2,1),(3,3)", "(1,1),(2,2),(3,4)");
    left_out(&swap, &[], "t: 2 rows that take values of unique index \"t_g_key\"");
    round("(1,2),(2,1)", "(1,1)").trip(&[]);
}

#[test]
fn ranges_that_exclude_each_other_change_hands_or_are_left_out() {
    let create = "create table t (id int primary key, at int4range not null, exclude using gist (at with &&))";
    let swap = round(create, "(1,'[5,9)'),(2,'[1,5)')", "(1,'[1,5)'),(2,'[5,9)')");
    left_out(&swap, &[], "t: 2 rows that take values of unique index \"t_at_excl\"");
    round(create, "(1,'[5,9)'),(2,'[1,5)')", "(1,'[1,5)')").trip(&[]);
    round(create, "(1,'[1,5)')", "(1,'[5,9)'),(2,'[1,5)')").trip(&ALL);
}

/// Too many or too few rows would be excluded: an excluded row excludes the rows that need its
/// value, and only those.
#[test]
fn what_needs_a_row_that_is_left_out_is_left_out_with_it() {
    let create = "create table t (id int primary key, n int not null unique, on_ bool not null);
        create unique index u on t ((1)) where on_;
        create table c (id int primary key, n int references t (n))";
    let fill = |rows: &str| format!("{create}; {rows}");
    let source =
        "insert into t values (1,1,false),(2,5,true),(3,2,false); insert into c values (1,2),(2,1)";
    let target = "insert into t values (1,1,true),(2,2,false)";
    let spec = ["public.t", "public.c"].map(same).concat();
    let round = RoundTrip::new(&fill(source), &fill(target), &spec);
    let _ = round.compare().exits(1);
    let said = round.repair("r", &[]);
    for told in [
        "t: 1 row that take values of unique index \"u\"",
        "t: 1 row that need what rows left out have",
        "c: 1 row that need what rows left out have",
    ] {
        assert!(said.exits(0).stdout.contains(told), "{told}: {}", said.stdout);
    }
    let _ = round.apply("r", &["--execute"]).exits(0);
    round.run_all("r", ".undo.sql");
}

const SWAPPED: &str = "t: 2 rows that take values of unique index \"t_n_key\"";

#[test]
fn a_placeholder_that_a_check_refuses_is_not_used() {
    let table = |column: &str| format!("create table t (id int primary key, n {column})");
    let swap = |column: &str| round(&table(column), "(1,2),(2,1)", "(1,1),(2,2)");
    left_out(&swap("int not null unique check (n between 1 and 2)"), &[], SWAPPED);
    left_out(&swap("int unique check (n is not null and n < 3)"), &[], SWAPPED);
    left_out(&swap("text not null unique check (n < '3' and length(n) = 1)"), &[], SWAPPED);
    swap("int not null unique check (n between 1 and 4)").trip(&[]);
    swap("int unique check (n between 1 and 2)").trip(&[]);
    let create =
        "create table t (id int primary key, n int not null check (n < 3), on_ bool not null);
        create unique index u on t (n) where on_";
    let swap = round(create, "(1,2,true),(2,1,true),(3,0,true)", "(1,1,true),(2,2,true)");
    left_out(&swap, &[], "t: 2 rows that take values of unique index \"u\"");
}

/// A placeholder in a referenced column would violate the foreign keys that refer to it.
#[test]
fn a_referenced_value_gets_no_placeholder() {
    for column in ["int not null unique", "int unique"] {
        let create = format!(
            "create table t (id int primary key, n {column});
            create table c (n int references t (n)); insert into t values (9, 9)"
        );
        let fill =
            |rows: &str| format!("{create}; insert into t values {rows}; insert into c values (1)");
        let swap = RoundTrip::new(&fill("(1,2),(2,1)"), &fill("(1,1),(2,2)"), &same("public.t"));
        left_out(&swap, &[], SWAPPED);
    }
}

/// A table for each of these columns, whose first two rows exchange their values, and a third row.
fn exchanges(columns: &[(&str, &str, &str, &str)]) -> RoundTrip {
    let mut fills = [String::new(), String::new()];
    let mut spec = String::new();
    for (at, (column, one, two, others)) in columns.iter().enumerate() {
        spec.push_str(&same(&format!("public.t{at}")));
        for (fill, (first, second)) in fills.iter_mut().zip([(one, two), (two, one)]) {
            fill.push_str(&format!(
                "create table t{at} (id int primary key, n {column} not null unique);
                insert into t{at} values (1, {first}), (2, {second}){others};"
            ));
        }
    }
    let [source, target] = fills;
    let other = "create table o (id int primary key, v int); insert into o values";
    spec.push_str(&same("public.o"));
    RoundTrip::new(&format!("{source} {other} (1, 1)"), &format!("{target} {other} (1, 2)"), &spec)
}

/// One pair of rows whose values cannot be exchanged must not keep the others from being repaired.
#[test]
fn without_a_placeholder_only_its_rows_are_excluded() {
    let columns = [
        ("bool", "true", "false", ""),
        ("bytea", "'a'", "'b'", ""),
        ("inet", "'::1'", "'::2'", ""),
        ("interval", "'1 day'", "'2 days'", ""),
        ("int[]", "'{1}'", "'{2}'", ""),
        ("jsonb", "'1'", "'2'", ""),
        ("numeric(2,2)", "0.1", "0.2", ""),
    ];
    let round = exchanges(&columns);
    left_out(&round, &[], "t0: 2 rows that take values of unique index \"t0_n_key\"");
    let said = round.repair("again", &[]).exits(0).stdout.clone();
    for at in 0..columns.len() {
        let told = format!("t{at}: 2 rows that take values of unique index \"t{at}_n_key\"");
        assert!(said.contains(&told), "{said}");
    }
    assert!(said.contains("update 1 row of target table public.o"), "{said}");
}

/// A row would be excluded without need: the row that frees a value need not change the column that
/// gets the placeholder.
#[test]
fn a_value_of_several_columns_is_freed_by_any_of_them() {
    let create = "create table t (id int primary key, tenant int not null, mail text not null);
        create unique index u on t (tenant, lower(mail))";
    round(create, "(1,2,'a'),(2,1,'a')", "(1,1,'a'),(2,1,'q')").trip(&[]);
    let create =
        "create table t (id int primary key, a int, b int, unique nulls not distinct (a, b))";
    round(create, "(1,2,null),(2,1,null)", "(1,1,null),(2,1,3)").trip(&[]);
    round(create, "(2,null,null),(1,1,null)", "(1,null,null),(2,1,null)").trip(&[]);
    let create = "create table t (id int primary key, a bool not null, b int, unique nulls not distinct (a, b))";
    round(create, "(1,true,null),(2,false,null)", "(1,false,null),(2,true,null)").trip(&[]);
    // A column that can hold a placeholder need not change either.
    let create =
        "create table t (id int primary key, a bool not null, b int not null, unique (a, b))";
    round(create, "(1,true,1),(2,false,1)", "(1,false,1),(2,true,1)").trip(&[]);
}

/// A placeholder above the highest value would be impossible: the highest value of a type, infinity
/// and NaN have no value above them.
#[test]
fn a_value_at_the_end_of_its_type_is_in_nobodys_way() {
    let (day, next) = ("'2024-01-01'", "'2024-01-02'");
    let columns = [
        ("int", "1", "2", ", (3, 2147483647)"),
        ("smallint", "1", "2", ", (3, 32767)"),
        ("bigint", "1", "2", ", (3, 9223372036854775807)"),
        ("numeric", "1", "2", ", (3, 'NaN')"),
        ("numeric(3,0)", "1", "2", ", (3, 999)"),
        ("float8", "1", "2", ", (3, 'Infinity'), (4, 1e300), (5, '-Infinity')"),
        ("float4", "1", "2", ", (3, 'NaN')"),
        ("date", day, next, ", (3, 'infinity')"),
        ("timestamptz", day, next, ", (3, 'infinity'), (4, '-infinity')"),
        ("timestamp", day, next, ", (3, '294276-12-31')"),
        ("varchar(1)", "'a'", "'b'", ", (3, 'c')"),
        ("char(3)", "'a'", "'b'", ""),
        ("varchar(20)", "'a'", "'b'", ""),
        ("text", "'a'", "'b'", ""),
        (
            "uuid",
            "'00000000-0000-0000-0000-000000000001'",
            "'00000000-0000-0000-0000-000000000002'",
            "",
        ),
    ];
    exchanges(&columns).trip(&[]);
}

/// A placeholder would equal an existing value: among hundreds of random texts of two characters
/// some are equal.
#[test]
fn something_of_its_own_stands_in_for_each_of_many_short_texts() {
    let fill = |shift: u32| {
        let n = format!("(i + {shift}) % 600");
        format!(
            "create domain short as varchar(2);
            create table t (id int primary key, n short not null unique);
            insert into t select i, chr(97 + {n} / 26) || chr(97 + {n} % 26) from generate_series(0, 599) i"
        )
    };
    RoundTrip::new(&fill(26), &fill(0), &same("public.t")).trip(&[]);
}

/// Rows would be taken for conflicts: a column that the spec ignores may still distinguish rows of
/// an index, and so may one partition.
#[test]
fn a_value_that_only_the_table_computes_is_exchanged() {
    let create =
        "create table t (id int primary key, n int not null, z int not null, unique (n, z))";
    let fill = |rows: &str| format!("{create}; insert into t values {rows}");
    let ignoring = same("public.t") + "source.ignore = ['z']\ntarget.ignore = ['z']\n";
    RoundTrip::new(&fill("(1,2,7),(2,1,7)"), &fill("(1,1,7),(2,2,7)"), &ignoring).trip(&[]);
    let create =
        "create table t (id int, n int not null, primary key (id)) partition by range (id);
        create table t1 partition of t for values from (0) to (10);
        create table t2 partition of t for values from (10) to (20);
        create unique index u on t1 (n)";
    round(create, "(1,2),(2,1),(11,2)", "(1,1),(2,2),(11,3)").trip(&[]);
}

/// A conflict would be missed: two texts may be one value to an index.
#[test]
fn numbers_of_different_scale_are_one_to_an_index() {
    let create = "create table t (id int primary key, n numeric not null unique)";
    round(create, "(1,2.00),(2,1.000)", "(1,1.0),(2,2)").trip(&[]);
    for (key, other) in [("'1.0'", "'1'"), ("'[2.00]'", "'[2]'")] {
        let create = "create table t (id jsonb primary key, v int)";
        round(create, &format!("({key},1),('3',2)"), &format!("({other},1),('3',3)")).trip(&ALL);
    }
    // Numbers with different signs are two.
    let create = "create table t (id numeric primary key, v jsonb not null unique)";
    round(create, "(5,'[5,-3]'),(-5,'[-5,3]'),(50,'5'),(-50,'-5')", "(7,'7')").trip(&ALL);
    let create = "create table t (id interval primary key, v int)";
    round(create, "('1 day',1),('3 days',2)", "('24:00',1),('3 days',3)").trip(&ALL);
}
