//! How psql reads a script, what a database sets, and what triggers, keys and partitions do
//! implicitly: one test each.

use std::fmt::Write;
use std::io::Write as _;
use std::process::{Command, Stdio};

use pgreconcile::schema::Side;

use crate::support::cluster;
use crate::support::round_trip::{ALL, PsqlOutput, RoundTrip, same};

/// Values that would do harm if they were read as commands.
const HARM: [&str; 6] = [
    "1; commit; drop table public.victim; --",
    "\\.\ndrop table public.victim;",
    "\\! touch /tmp/pgreconcile-was-here",
    ":n",
    "$pgr$; drop table public.victim; $pgr$",
    "two\r\nlines\twith\\N and \u{2028}",
];

fn text(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''").replace('\r', "\\r"))
}

/// More rows than are written as statements, and one row as the victim.
fn harmful() -> RoundTrip {
    let create = "create table t (id int primary key, v text, \"[1:n]\" int[] default '{1,2}'); create table victim (id int);";
    let mut source = create.to_owned();
    for n in 0..30 {
        let _ = writeln!(source, "insert into t values ({n}, {});", text(HARM[n % HARM.len()]));
    }
    let round = RoundTrip::new(&source, create, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    round
}

fn unharmed(round: &RoundTrip) {
    assert_eq!(
        round.pair.sql(Side::Target, "select to_regclass('public.victim') is not null"),
        "t"
    );
    assert!(!std::path::Path::new("/tmp/pgreconcile-was-here").exists());
}

/// psql with a script on its standard input, or flags that name it.
fn psql(round: &RoundTrip, flags: &[&str], input: Option<&str>) -> PsqlOutput {
    let target = &round.pair.clusters.target;
    let mut child = Command::new(cluster::binaries().join("psql"))
        .args(["-X", "-q", "-h"])
        .arg(target.socket())
        .args(["-p", &target.port.to_string(), "-U", "postgres", "-d", &round.pair.database])
        .args(["-v", "n=1/0", "-v", "ON_ERROR_STOP=0", "-v", "v=drop", "-v", "var=drop"])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A psql that has stopped reads no more input.
    let _ = pipe.write_all(input.unwrap_or_default().as_bytes());
    drop(pipe);
    PsqlOutput::of(&child.wait_with_output().unwrap())
}

#[test]
fn a_script_does_the_same_however_psql_reads_it() {
    let round = harmful();
    let script = round.scripts("r", ".sql").remove(0);
    let undo = round.scripts("r", ".undo.sql").remove(0);
    let written = std::fs::read_to_string(&script).unwrap();
    let crlf = round.pair.scratch.file("crlf.sql", &written.replace('\n', "\r\n"));
    let path = script.to_str().unwrap();
    for (flags, input) in [
        (vec!["-f", path], None),
        (vec!["-1", "-f", path], None),
        (vec!["-f", "-"], Some(written.as_str())),
        (vec![], Some(written.as_str())),
        (vec!["-f", crlf.to_str().unwrap()], None),
    ] {
        let said = psql(&round, &flags, input);
        assert_eq!(said.code, 0, "{flags:?}: {}", said.stderr);
        assert!(said.stdout.contains("pgreconcile: applied 30/30"), "{flags:?}: {}", said.stdout);
        let _ = round.compare().exits(0);
        unharmed(&round);
        assert_eq!(psql(&round, &["-f", undo.to_str().unwrap()], None).code, 0);
    }
}

/// psql would take the rows for commands if COPY cannot start.
#[test]
fn rows_are_no_commands_where_their_table_is_gone() {
    let round = harmful();
    let script = round.scripts("r", ".sql").remove(0);
    assert!(std::fs::read_to_string(&script).unwrap().contains("FROM STDIN"));
    for sql in ["alter table t rename v to w", "alter table t rename to gone"] {
        round.pair.sql(Side::Target, sql);
        let said = psql(&round, &["-f", script.to_str().unwrap()], None);
        assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{}", said.stderr);
        unharmed(&round);
    }
}

#[test]
fn what_a_database_sets_changes_nothing() {
    let create = "create table t (id int primary key, v text, at timestamptz, i interval, f float8, b bytea, d date, a text[], m money);";
    let source = format!(
        "{create} insert into t values (1,{},'2026-03-29 01:30+00','1 mon -2 days 03:04:05.678',0.1::float8 + 0.2,'\\x00ff5c','2026-02-01','{{NULL,\"NULL\"}}',12.5),(2,'it''s','infinity','-1 sec','-0','','0044-03-15 BC','{{}}',null);",
        text("back\\slash 'quoted'\n")
    );
    let target = format!("{create} insert into t (id, v) values (1, 'x');");
    for temporary in [&[][..], &["--no-temp"]] {
        let round = RoundTrip::new(&source, &target, &same("public.t"));
        round.pair.sql(
            Side::Target,
            &format!(
                "alter database {0} set standard_conforming_strings = off; alter database {0} set escape_string_warning = off;
                 alter database {0} set datestyle = 'SQL, DMY'; alter database {0} set intervalstyle = 'sql_standard';
                 alter database {0} set timezone = 'Asia/Tokyo'; alter database {0} set extra_float_digits = 0;
                 alter database {0} set bytea_output = 'escape'; alter database {0} set search_path = 'nowhere';
                 alter database {0} set default_transaction_isolation = 'serializable';
                 alter database {0} set default_transaction_read_only = on; alter database {0} set client_encoding = 'LATIN1';
                 alter database {0} set array_nulls = off; alter database {0} set transform_null_equals = on;
                 alter database {0} set default_transaction_deferrable = on;",
                round.pair.database
            ),
        );
        let _ = round.compare().exits(1);
        let _ = round.repair("r", temporary).exits(0);
        round.run_all("r", ".sql");
        let _ = round.compare().exits(0);
        round.run_all("r", ".undo.sql");
        let _ = round.apply("r", &["--execute"]).exits(0);
        let _ = round.compare().exits(0);
    }
}

/// The function would not find its table: it uses the role's own search path, as always.
#[test]
fn audit_triggers_fire_once_for_every_row_and_not_again() {
    let table = "create table t (id int primary key, v text);";
    let round = RoundTrip::new(
        &format!("{table} insert into t values (1,'a'),(2,'b');"),
        &format!("{table} insert into t values (1,'x'),(3,'c');"),
        &same("public.t"),
    );
    round.pair.sql(
        Side::Target,
        "create table audit (op text, id int); create function f() returns trigger language plpgsql as
         $$ begin insert into audit values (tg_op, coalesce(new.id, old.id)); return null; end $$;
         create trigger f after insert or update or delete on t for each row execute function f();",
    );
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &ALL).exits(0);
    let logged = "select string_agg(op || id, ' ' order by op) from audit";
    for _ in 0..2 {
        round.run_all("r", ".sql");
        assert_eq!(round.pair.sql(Side::Target, logged), "DELETE3 INSERT2 UPDATE1");
    }
    let _ = round.apply("r", &["--execute"]).exits(0);
    assert_eq!(round.pair.sql(Side::Target, logged), "DELETE3 INSERT2 UPDATE1");
}

fn refuses(round: &RoundTrip, flags: &[&str], why: &str) {
    let _ = round.compare().exits(1);
    let _ = round.repair("r", flags).exits(0);
    let before = round.state(true);
    let script = round.scripts("r", ".sql").pop().unwrap();
    let said = round.psql(&script);
    assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{}", said.stderr);
    assert!(said.stderr.contains(why), "{}", said.stderr);
    let _ = round.apply("r", &["--execute"]).exits(1);
    assert_eq!(round.state(true), before);
}

/// An error at COMMIT would come after the last check.
#[test]
fn a_foreign_key_that_is_checked_late_is_checked_before_the_end() {
    let create = "create table p (id int primary key); create table c (id int primary key, p int references p deferrable initially deferred);";
    let round = RoundTrip::new(
        &format!("{create} insert into p values (1); insert into c values (1,1)"),
        create,
        &["public.p", "public.c"].map(same).concat(),
    );
    refuses(&round, &["--mapping", "c"], "violates foreign key constraint");
    let text = std::fs::read_to_string(round.scripts("r", ".sql").remove(0)).unwrap();
    assert!(text.find("SET CONSTRAINTS ALL IMMEDIATE").unwrap() < text.find("x.wrong").unwrap());
}

#[test]
fn whatever_on_delete_does_to_other_rows_stops_a_delete() {
    for action in ["cascade", "set null", "set default", "no action", "restrict"] {
        let create = format!(
            "create table p (id int primary key); create table c (id int primary key, p int default 1 references p on delete {action});"
        );
        let fill = |rows: &str, child: u32| {
            format!("{create} insert into p values {rows}; insert into c values (7,{child});")
        };
        let spec = ["public.p", "public.c"].map(same).concat();
        let round = RoundTrip::new(&fill("(1)", 1), &fill("(1),(2)", 2), &spec);
        let why = match action {
            "no action" | "restrict" => "violates foreign key constraint".to_owned(),
            _ => format!("would reach 1 rows of public.c by ON DELETE {}", action.to_uppercase()),
        };
        refuses(&round, &["--kinds", "delete", "--mapping", "p"], &why);
        // After the child has moved to another parent, no row is affected.
        RoundTrip::new(&fill("(1)", 1), &fill("(1),(2)", 2), &spec).trip(&ALL);
    }
}

/// A row would be lost without an error: ON CONFLICT also skips a row for another unique index. The
/// final check detects it.
#[test]
fn another_unique_index_that_holds_the_value_stops_a_batch() {
    let create = "create table t (id int primary key, mail text unique, v int default 0);";
    let source = format!("{create} insert into t values (1,'a'),(2,'b')");
    let target = format!("{create} insert into t values (9,'b')");
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    refuses(&round, &[], "1 of 2 rows are not as intended");
}

#[test]
fn rows_move_between_partitions_and_stop_where_there_is_none() {
    let create = "create table t (id int, region text, v int, primary key (id, region)) partition by list (region);
        create table eu partition of t for values in ('eu'); create table us partition of t for values in ('us');
        create table k (id int, at int, v int) partition by range (at); create table k1 partition of k for values from (0) to (10);
        create table k2 partition of k for values from (10) to (20); create unique index on k (id, at); create unique index on k1 (id); create unique index on k2 (id);";
    let source = format!(
        "{create} insert into t values (1,'eu',1),(2,'us',2); insert into k values (1,5,1),(2,15,2)"
    );
    let target = format!(
        "{create} insert into t values (1,'us',1),(2,'us',3); insert into k values (1,15,1),(2,5,3)"
    );
    // The key of k alone does not determine the partition: the update moves its rows.
    let spec =
        format!("{}{}", same("public.t"), same("public.k").replace("]]\n", "]]\nkey = ['id']\n"));
    RoundTrip::new(&source, &target, &spec).trip(&ALL);
    let round = RoundTrip::new(&source, &target, &spec);
    round.pair.sql(Side::Source, "create table apac partition of t for values in ('apac'); insert into t values (3,'apac',3)");
    refuses(&round, &["--mapping", "t", "--kinds", "insert"], "no partition of relation");
}

#[test]
fn domains_and_defaults_do_not_change_what_is_written() {
    let create = "create domain short as varchar(5) default 'dflt' check (value <> 'bad');
        create table t (id int primary key, d short, n int default 7 not null, o text default 'o', at timestamptz default now(), g int generated always as (n * 2) stored);";
    let source = format!(
        "{create} insert into t values (1,'abc',1,null,'2026-01-01'),(2,null,2,'x',null),(3,'e',3,'',null)"
    );
    let target =
        format!("{create} insert into t values (2,'abc',9,null,'2026-01-01'),(4,'z',4,'z',null)");
    RoundTrip::new(&source, &target, &same("public.t")).trip(&ALL);
}
