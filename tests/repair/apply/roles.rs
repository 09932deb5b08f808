//! Roles that write, and how: roles other than the owner, missing privileges, row-level security,
//! triggers that are switched off, sequences.

use std::process::Command;

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, PsqlOutput, RoundTrip, same};
use crate::support::{Bouncer, Outcome, cluster};

/// A role of its own for a test; roles belong to the server that all tests share.
struct Role<'r> {
    round: &'r RoundTrip,
    name: String,
}

impl<'r> Role<'r> {
    fn new(round: &'r RoundTrip, grants: &str) -> Role<'r> {
        let name = format!("writer_{}", round.pair.database);
        let role = Role { round, name };
        role.grant(&format!("create role ROLE login; {grants}"));
        role
    }

    /// Runs SQL with the role's name in place of ROLE.
    fn grant(&self, sql: &str) {
        self.round.pair.sql(Side::Target, &sql.replace("ROLE", &self.name));
    }

    /// The program, writing the target as this role.
    fn program(&self) -> crate::support::Program {
        let url = self.round.pair.clusters.target.url(&self.name, &self.round.pair.database);
        self.round.program().env("TARGET_URL", &url)
    }

    fn repair(&self, out: &str, flags: &[&str]) -> Outcome {
        let flags = [
            &[
                "repair",
                "spec.toml",
                "--authority",
                "source",
                "--from",
                "findings.jsonl",
                "--out",
                out,
            ],
            flags,
        ]
        .concat();
        self.program().args(&flags).run()
    }

    fn apply(&self, folder: &str) -> Outcome {
        self.program().args(&["apply", "spec.toml", folder, "--execute"]).run()
    }

    fn psql(&self, script: &std::path::Path) -> PsqlOutput {
        self.round.psql_as(&self.name, script)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let name = &self.name;
        let drop = format!("drop owned by {name}; drop role {name}");
        let cluster = &self.round.pair.clusters.target;
        let mut psql = Command::new(cluster::binaries().join("psql"));
        psql.args(["-X", "-q", "-h"]).arg(cluster.socket());
        psql.args([
            "-p",
            &cluster.port.to_string(),
            "-U",
            "postgres",
            "-d",
            &self.round.pair.database,
        ]);
        let _ = psql.args(["-c", &drop]).output();
    }
}

const TABLE: &str =
    "create table t (id bigint primary key generated always as identity, name text, n int);";

fn round() -> RoundTrip {
    let source = format!(
        "{TABLE} insert into t overriding system value values (1,'a',1),(2,'b',2),(30,'c',3);"
    );
    let target = format!(
        "{TABLE} insert into t overriding system value values (1,'x',1),(2,'b',7),(9,'z',9);"
    );
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    let _ = round.compare().exits(1);
    round
}

const GRANTS: &str =
    "grant usage on schema public to ROLE; grant select, insert, update, delete on t to ROLE;
    grant select, update on sequence t_id_seq to ROLE;";

#[test]
fn a_role_that_owns_nothing_repairs_and_undoes() {
    let round = round();
    let role = Role::new(&round, GRANTS);
    let before = round.state(false);
    let made = role.repair("r", &ALL);
    assert!(!made.exits(0).stderr.contains("has not what"), "{}", made.stderr);
    for script in round.scripts("r", ".sql") {
        let said = role.psql(&script);
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    let _ = round.compare().exits(0);
    let _ = role.apply("r").exits(0);
    for script in round.scripts("r", ".undo.sql") {
        let said = role.psql(&script);
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    assert_eq!(round.state(false), before);
}

/// A repair would fail in the middle, after some of its batches were committed.
#[test]
fn missing_privileges_are_reported_early_and_refused_later() {
    let round = round();
    let role =
        Role::new(&round, "grant usage on schema public to ROLE; grant select on t to ROLE;");
    let made = role.repair("r", &ALL);
    assert!(
        made.exits(0).stderr.contains("takes: DELETE, INSERT, UPDATE on public.t"),
        "{}",
        made.stderr
    );
    let before = round.state(true);
    let refused = role.apply("r");
    assert!(refused.exits(2).stderr.contains("has not INSERT on public.t"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: GRANT INSERT ON public.t"), "{}", refused.stderr);
    for script in round.scripts("r", ".sql") {
        let said = role.psql(&script);
        assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{}", said.stderr);
    }
    assert_eq!(round.state(true), before);
    // A sequence that the role may not set is reported at the start, not by the batch that reaches
    // it.
    role.grant(
        "grant insert, update, delete on t to ROLE; grant usage on sequence t_id_seq to ROLE",
    );
    let refused = role.apply("r");
    let why = "has not SELECT and UPDATE on sequence public.t_id_seq\nhint: GRANT SELECT, UPDATE ON SEQUENCE";
    assert!(refused.exits(2).stderr.contains(why), "{}", refused.stderr);
    let told = role.program().args(&["apply", "spec.toml", "r"]).run();
    assert!(told.stderr.contains("on sequence public.t_id_seq"), "{}", told.stderr);
    assert_eq!(round.state(true), before);
}

/// A role that may not create temporary tables could not run a repair.
#[test]
fn without_temporary_tables_rows_are_kept_in_settings() {
    let round = round();
    let role = Role::new(&round, GRANTS);
    role.grant(&format!("revoke temporary on database {} from public", round.pair.database));
    let made = role.repair("r", &ALL);
    assert!(made.exits(0).stderr.contains("rows wait in settings"), "{}", made.stderr);
    let before = round.state(false);
    for script in round.scripts("r", ".sql") {
        let text = std::fs::read_to_string(&script).unwrap();
        assert!(
            text.contains("SET LOCAL pgreconcile.pgr_rows_") && !text.contains("TEMP"),
            "{text}"
        );
        let said = role.psql(&script);
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    let _ = round.compare().exits(0);
    for script in round.scripts("r", ".undo.sql") {
        assert_eq!(role.psql(&script).code, 0);
    }
    assert_eq!(round.state(false), before);
    let _ = role.apply("r").exits(0);
    let _ = round.compare().exits(0);
    // A repair that needs them is refused for this role before anything is changed.
    round.pair.sql(Side::Target, "update t set name = 'w' where id = 1");
    let _ = round.compare().exits(1);
    let _ = round.repair("temporary", &[]).exits(0);
    let refused = role.apply("temporary");
    assert!(refused.exits(2).stderr.contains("may make no temporary table"), "{}", refused.stderr);
}

#[test]
fn every_round_trip_holds_without_temporary_tables() {
    let create = "create type mood as enum ('sad', 'happy'); create domain d as int check (value > 0);
        create table p (id int primary key, boss int references p, u text not null unique, m mood, a text[], d d, j jsonb, c char(4), n numeric(9,3), b bytea);
        create table a (id int primary key, b int not null); create table b (id int primary key, a int not null references a);
        alter table a add foreign key (b) references b;";
    let source = format!(
        r#"{create} insert into p values (1,null,'a','sad','{{"x,y",NULL,"NULL"}}',1,'{{"k": "\"q\\\\"}}','ab',1.5,'\x00ff'),(2,1,'b','happy','{{}}',2,'null','',2,''),(3,2,'c''\',null,null,null,null,null,null,null);
        with x as (insert into a values (1,1)) insert into b values (1,1);"#
    );
    let target = format!(
        "{create} insert into p (id,boss,u,m) values (1,null,'b','happy'),(2,1,'a','sad'),(9,2,E'z\\n\\t\\\\','sad');
        with x as (insert into a values (7,8)) insert into b values (8,7);"
    );
    let spec: String = ["public.p", "public.a", "public.b"].map(same).concat();
    RoundTrip::new(&source, &target, &spec).trip(&[
        "--kinds",
        "insert,update,delete",
        "--no-temp",
        "--batch",
        "2",
    ]);
}

#[test]
fn row_level_security_that_would_hide_rows_stops_a_script() {
    let round = round();
    let role = Role::new(&round, GRANTS);
    let _ = round.repair("r", &ALL).exits(0);
    round.pair.sql(
        Side::Target,
        "alter table t enable row level security; create policy p on t using (id < 5)",
    );
    let before = round.state(true);
    for script in round.scripts("r", ".sql") {
        let said = role.psql(&script);
        assert_eq!(said.code, 3, "{}", said.stdout);
        assert!(said.stderr.contains("row-level security"), "{}", said.stderr);
    }
    let refused = role.apply("r");
    assert!(refused.exits(2).stderr.contains("row-level security"), "{}", refused.stderr);
    assert_eq!(round.state(true), before);
    role.grant("alter role ROLE bypassrls");
    let _ = role.apply("r").exits(0);
    let _ = round.compare();
}

#[test]
fn triggers_stay_silent_when_they_are_switched_off() {
    let round = round();
    round.pair.sql(
        Side::Target,
        "create table log (what text); create function f() returns trigger language plpgsql as
         $$ begin insert into log values (tg_op); if tg_op = 'DELETE' then return null; end if; new.name := 'rewritten'; return new; end $$;
         create trigger f before insert or update or delete on t for each row execute function f();",
    );
    round.trip(&["--kinds", "insert,update,delete", "--triggers", "off"]);
    assert_eq!(round.pair.sql(Side::Target, "select count(*) from log"), "0");
    for script in round.scripts("repair", ".sql") {
        let text = std::fs::read_to_string(script).unwrap();
        assert!(text.contains("-- triggers   off, audit triggers too"), "{text}");
    }
    // A role that may not switch them off gets an error, and nothing changes.
    let role = Role::new(&round, GRANTS);
    let _ = round.compare().exits(1);
    let made = role.repair("off", &["--triggers", "off"]);
    assert!(
        made.exits(0).stderr.contains("takes: SET on parameter session_replication_role"),
        "{}",
        made.stderr
    );
    let before = round.state(true);
    let refused = role.apply("off");
    assert!(refused.exits(2).stderr.contains("may not switch triggers off"), "{}", refused.stderr);
    let said = role.psql(&round.scripts("off", ".sql").remove(0));
    assert!(
        said.code == 3 && said.stderr.contains("permission denied to set parameter"),
        "{}",
        said.stderr
    );
    assert_eq!(round.state(true), before);
    role.grant("grant set on parameter session_replication_role to ROLE");
    let _ = role.apply("off").exits(0);
    role.grant("revoke set on parameter session_replication_role from ROLE");
}

/// Foreign keys would be violated: with its triggers off the server checks none; the scripts do.
#[test]
fn foreign_keys_are_checked_where_triggers_are_off() {
    let create = "create table p (id int primary key, u int unique); create table c (id int primary key, p int references p on delete cascade, u int references p (u));";
    let off = ["--triggers", "off", "--kinds", "insert,update,delete"];
    let refused = |source: &str, target: &str, then: &str, mapping: &str, why: &str| {
        let round = RoundTrip::new(
            &format!("{create} {source}"),
            &format!("{create} {target}"),
            &["public.p", "public.c"].map(same).concat(),
        );
        let _ = round.compare().exits(1);
        let _ = round.repair("r", &[&off[..], &["--mapping", mapping]].concat()).exits(0);
        round.pair.sql(Side::Target, then);
        let before = round.state(true);
        let said = round.psql(&round.scripts("r", ".sql").remove(0));
        assert!(said.code == 3 && said.stderr.contains(why), "{}", said.stderr);
        let applied = round.apply("r", &["--execute"]);
        assert!(applied.exits(1).stderr.contains(why), "{}", applied.stderr);
        assert_eq!(round.state(true), before);
    };
    let p = "insert into p values (1,10),(2,20);";
    // A child without a parent is inserted, or moves to a missing parent.
    refused(
        &format!("{p} insert into c values (1,2,null)"),
        "insert into p values (1,10)",
        "",
        "c",
        "1 rows refer to rows of public.p",
    );
    refused(
        &format!("{p} insert into c values (1,2,null)"),
        "insert into p values (1,10); insert into c values (1,1,null)",
        "",
        "c",
        "1 rows refer to rows of public.p",
    );
    // A parent is deleted while it has a child: nothing cascades with triggers off, so the child
    // would be an orphan.
    refused(
        "insert into p values (1,10)",
        &format!("{p} insert into c values (5,2,null)"),
        "",
        "p",
        "1 rows of public.c would refer to none",
    );
    // A parent's value changes to which its child refers.
    refused(
        "insert into p values (1,11)",
        "insert into p values (1,10); insert into c values (5,1,10)",
        "",
        "p",
        "1 rows of public.c would refer to none",
    );
    // Consistent rows are applied, with a cycle and with a table's own children too.
    let create = "create table a (id int primary key, b int not null); create table b (id int primary key, a int not null references a);
        alter table a add foreign key (b) references b; create table s (id int primary key, up int references s);";
    let fill = |n: u32| {
        format!(
            "{create} with x as (insert into a values ({n},{n})) insert into b values ({n},{n}); insert into s values ({n}, null), ({n} - 1, {n});"
        )
    };
    let spec: String = ["public.a", "public.b", "public.s"].map(same).concat();
    RoundTrip::new(&fill(10), &fill(20), &spec).trip(&off);
}

/// Duplicates would be stored: a deferred unique constraint is checked by a trigger, so not at all
/// with triggers off.
#[test]
fn triggers_stay_on_where_a_trigger_keeps_rows_unique() {
    let table = "create table t (id int primary key, u int unique deferrable);";
    let round =
        RoundTrip::new(&format!("{table} insert into t values (1,1)"), table, &same("public.t"));
    let _ = round.compare().exits(1);
    let refused = round.repair("r", &["--triggers", "off"]);
    assert!(refused.exits(2).stderr.contains("deferrable unique constraint"), "{}", refused.stderr);
    assert!(!round.path("r").exists());
    let _ = round.repair("r", &[]).exits(0);
}

/// The application's next INSERT would fail with a duplicate key.
#[test]
fn sequences_end_after_the_rows_and_never_go_back() {
    let create = "create table up (id int primary key generated by default as identity, v int);
        create table down (id int primary key generated by default as identity (increment -1 minvalue -1000 maxvalue -1 start -1), v int);
        create sequence shared; create table named (id bigint primary key default nextval('shared'), v int);
        create table small (id int primary key generated by default as identity (maxvalue 50), v int);
        create table ahead (id serial primary key, v int);";
    let source = format!(
        "{create} insert into up values (1,1),(40,4); insert into down values (-1,1),(-40,4);
         insert into named values (1,1),(40,4); insert into small values (1,1),(400,4); insert into ahead values (1,1),(40,4);"
    );
    let target = format!("{create} select setval('ahead_id_seq', 100);");
    let spec: String =
        ["up", "down", "named", "small", "ahead"].map(|t| same(&format!("public.{t}"))).concat();
    let round = RoundTrip::new(&source, &target, &spec);
    for execute in [false, true] {
        let _ = round.compare().exits(1);
        let folder = if execute { "applied" } else { "scripted" };
        let _ = round.repair(folder, &[]).exits(0);
        if execute {
            let _ = round.apply(folder, &["--execute"]).exits(0);
        } else {
            round.run_all(folder, ".sql");
        }
        let next = "select nextval('up_id_seq'), nextval('down_id_seq'), nextval('shared'), nextval('small_id_seq'), nextval('ahead_id_seq')";
        assert_eq!(round.pair.sql(Side::Target, next), "41|-41|41|1|101");
        round.pair.sql(Side::Target, "truncate up, down, named, small, ahead; select setval('up_id_seq', 1, false),
            setval('down_id_seq', -1, false), setval('shared', 1, false), setval('small_id_seq', 1, false), setval('ahead_id_seq', 100)");
    }
    let text = std::fs::read_to_string(round.scripts("applied", ".sql").remove(0)).unwrap();
    assert!(text.contains("-- sequence   public.up_id_seq moves behind the rows"), "{text}");
}

/// A repair would fail where all clients share one server connection, one transaction after the
/// other.
#[test]
fn scripts_pass_a_pooler_by_transaction() {
    let round = round();
    round.pair.sql(Side::Target, "grant insert, update, delete on t to reader; grant select, update on sequence t_id_seq to reader");
    let bouncer = Bouncer::start(round.pair.clusters, &round.pair.database, 1);
    for (folder, flags) in [("temporary", &[][..]), ("settings", &["--no-temp"])] {
        let before = round.state(false);
        let _ = round.repair(folder, &[&ALL[..], flags].concat()).exits(0);
        for end in [".sql", ".undo.sql"] {
            for script in round.scripts(folder, end) {
                for _ in 0..2 {
                    let said = psql_through(&bouncer, &script);
                    assert_eq!(said.code, 0, "{}", said.stderr);
                    assert!(said.stdout.contains("pgreconcile: applied "), "{}", said.stdout);
                }
            }
        }
        assert_eq!(round.state(false), before);
    }
}

fn psql_through(bouncer: &Bouncer, script: &std::path::Path) -> PsqlOutput {
    let output = Command::new(cluster::binaries().join("psql"))
        .args(["-X", "-q", "-d", &bouncer.url(Side::Target), "-f"])
        .arg(script)
        .output()
        .unwrap();
    PsqlOutput::of(&output)
}
