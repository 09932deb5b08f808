//! What is refused; nothing is changed then.

use pgreconcile::repair::Manifest;
use pgreconcile::schema::Side;

use crate::support::Bouncer;
use crate::support::round_trip::{ALL, RoundTrip, same};

const TABLE: &str = "create table t (id int primary key, name text);";

fn round() -> RoundTrip {
    let source = format!("{TABLE} insert into t values (1,'a'),(2,'b'),(3,'c');");
    let target = format!("{TABLE} insert into t values (1,'x'),(2,'y');");
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    let _ = round.compare().exits(1);
    round
}

/// Asserts that both forms refuse, and leave everything unchanged.
fn refuses(round: &RoundTrip, folder: &str) {
    let before = round.state(true);
    let mut refused = false;
    for script in round.scripts(folder, ".sql") {
        let said = round.psql(&script);
        if said.code != 0 {
            assert_eq!(said.code, 3, "{}", said.stderr);
            assert!(!said.stdout.contains("applied"), "{}", said.stdout);
            refused = true;
        }
    }
    assert!(refused);
    assert_eq!(round.state(true), before);
    let applied = round.apply(folder, &["--execute"]);
    assert!(applied.exits(1).stderr.contains("was refused"), "{}", applied.stderr);
    assert_eq!(round.state(true), before);
}

#[test]
fn a_row_that_changed_after_the_report_refuses_its_whole_batch() {
    let round = round();
    let _ = round.repair("r", &["--kinds", "update"]).exits(0);
    round.pair.sql(Side::Target, "update t set name = 'meanwhile' where id = 2");
    refuses(&round, "r");
    round.pair.sql(Side::Target, "delete from t where id = 2");
    refuses(&round, "r");
}

#[test]
fn an_undo_refuses_rows_that_somebody_has_changed_since() {
    for change in [
        "update t set name = 'later' where id = 2",
        "update t set name = 'later' where id = 3",
        "insert into t values (9, 'again')",
    ] {
        let round = round();
        round.pair.sql(Side::Target, "insert into t values (9, 'z')");
        let _ = round.compare().exits(1);
        let _ = round.repair("r", &ALL).exits(0);
        let _ = round.apply("r", &["--execute"]).exits(0);
        round.pair.sql(Side::Target, change);
        let before = round.state(true);
        let said: Vec<_> =
            round.scripts("r", ".undo.sql").iter().map(|script| round.psql(script)).collect();
        let refused: Vec<_> = said.iter().filter(|said| said.code == 3).collect();
        assert!(refused.len() == 1 && refused[0].stderr.contains("NOT applied"), "{change}");
        assert_ne!(round.state(true), before);
        let kept = if change.contains("9") { "9again" } else { "later" };
        let rows = round.pair.sql(Side::Target, "select string_agg(id || name, ' ') from t");
        assert!(rows.contains(kept), "{change}: {rows}");
    }
}

#[test]
fn what_agrees_meanwhile_is_dropped_and_counted() {
    let round = round();
    round.pair.sql(Side::Target, "update t set name = 'a' where id = 1");
    let told = round.repair("r", &[]);
    assert!(told.exits(0).stdout.contains("already agree: 1 row\n"), "{}", told.stdout);
    round
        .pair
        .sql(Side::Target, "update t set name = 'b' where id = 2; insert into t values (3,'c')");
    let told = round.repair("none", &[]);
    assert!(told.exits(0).stdout.contains("nothing to repair: none holds"), "{}", told.stdout);
    // A job that repairs and applies would have to check whether there was something to do.
    for flags in [&[][..], &["--execute"]] {
        let told = round.apply("none", flags);
        assert!(told.exits(0).stdout.contains("the repair is empty"), "{}", told.stdout);
    }
}

#[test]
fn triggers_that_rewrite_or_skip_are_noticed() {
    for body in ["new.name := 'rewritten'; return new;", "return null;"] {
        let round = round();
        round.pair.sql(
            Side::Target,
            &format!(
                "create function f() returns trigger language plpgsql as $$ begin {body} end $$;
             create trigger f before insert or update on t for each row execute function f();"
            ),
        );
        let _ = round.repair("r", &[]).exits(0);
        refuses(&round, "r");
    }
    let round = round();
    round.pair.sql(Side::Target, "create function f() returns trigger language plpgsql as $$ begin return null; end $$;
        create trigger f before delete on t for each row execute function f(); insert into t values (9,'too many')");
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &["--kinds", "delete"]).exits(0);
    refuses(&round, "r");
}

/// The rejected row could not be found without the constraint's name and table, which are no values
/// of a row.
#[test]
fn a_refusal_by_a_constraint_names_it_and_no_value() {
    let raises = "create function f() returns trigger language plpgsql as $$ begin
            raise 'secret %', new.name using errcode = 'check_violation', constraint = new.name,
                table = new.name, column = new.name, schema = new.name; end $$;
        create trigger f before update on t for each row execute function f()";
    for (since, named) in [
        (
            "alter table t add constraint short check (name <> 'secret')",
            "check constraint \"short\" of table public.t (SQLSTATE 23514)",
        ),
        (
            "create unique index one on t (left(name, 3)); insert into t values (0, 'second')",
            "unique index \"one\" of table public.t (SQLSTATE 23505)",
        ),
        (
            "create table n (name text primary key); insert into n values ('b'); alter table t add constraint known foreign key (name) references n not valid",
            "foreign key \"known\" of table public.t (SQLSTATE 23503)",
        ),
        (
            "alter table t add constraint apart exclude (left(name, 3) with =); insert into t values (0, 'second')",
            "exclusion constraint \"apart\" of table public.t (SQLSTATE 23P01)",
        ),
        (
            "alter table t add kept text not null generated always as (nullif(name, 'secret')) stored",
            "NOT NULL of column \"kept\" of table public.t (SQLSTATE 23502)",
        ),
        (
            "create domain d as text; alter table t alter name type d",
            "check constraint \"mild\" of type public.d (SQLSTATE 23514)",
        ),
        (raises, "a constraint or a trigger (SQLSTATE 23514)"),
    ] {
        let create = "create table t (id int primary key, name text)";
        let fill = |name: &str| format!("{create}; insert into t values (5, '{name}');");
        let spec = format!("{}target.ignore = ['kept']\n", same("public.t"));
        let spec = if since.contains("kept") { spec } else { same("public.t") };
        let round = RoundTrip::new(&fill("secret"), &format!("{}{since}", fill("b")), &spec);
        let _ = round.compare();
        let _ = round.repair("r", &[]).exits(0);
        if since.contains("domain") {
            let mild = "alter domain d add constraint mild check (value <> 'secret')";
            round.pair.sql(Side::Target, mild);
        }
        let before = round.state(true);
        let outcome = round.apply("r", &["--execute"]);
        let told = &outcome.exits(1).stderr;
        let whole = format!("batch 1 of 001-t-update.sql was refused: {named}\n");
        assert!(told.contains(&whole) && !told.contains("secret"), "{since}: {told}");
        assert!(told.contains("by hand") && !told.contains("Compare again"), "{since}: {told}");
        assert_eq!(round.state(true), before);
    }
}

#[test]
fn a_delete_reaches_no_other_table_unless_it_may() {
    let round = round();
    round.pair.sql(Side::Target, "insert into t values (9,'z');
        create table c (id int primary key, t int references t on delete cascade); insert into c values (1, 9)");
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &["--kinds", "delete"]).exits(0);
    refuses(&round, "r");
    let _ = round.repair("allowed", &["--kinds", "delete", "--allow-cascade"]).exits(0);
    round.run_all("allowed", ".sql");
    assert_eq!(round.pair.sql(Side::Target, "select count(*) from c"), "0");
}

#[test]
fn deletes_are_written_on_request_only() {
    let round = round();
    round.pair.sql(Side::Target, "insert into t values (9,'z')");
    let _ = round.compare().exits(1);
    let told = round.repair("r", &[]);
    assert!(told.exits(0).stdout.contains("left out: t: 1 row to delete"), "{}", told.stdout);
    assert!(
        round.scripts("r", ".sql").iter().all(|path| !path.to_str().unwrap().contains("delete"))
    );
}

#[test]
fn the_undo_of_a_delete_holds_columns_that_are_not_mapped() {
    let round = round();
    round.pair.sql(
        Side::Target,
        "alter table t add extra text default 'd'; insert into t values (9,'z','precious')",
    );
    let spec = round.pair.spec(&format!("{}target.ignore = ['extra']\n", same("public.t")));
    let round = RoundTrip { spec, ..round };
    let _ = round.compare().exits(1);
    let before = round.state(false);
    let _ = round.repair("r", &ALL).exits(0);
    round.run_all("r", ".sql");
    round.run_all("r", ".undo.sql");
    assert_eq!(round.state(false), before);
}

/// The first INSERT would fail on a NOT NULL column after the repair was reviewed.
#[test]
fn a_column_that_nothing_fills_is_named_first() {
    let round = round();
    round.pair.sql(Side::Target, "alter table t add needed int; update t set needed = 1; alter table t alter needed set not null");
    let spec = round.pair.spec(&format!("{}target.ignore = ['needed']\n", same("public.t")));
    let round = RoundTrip { spec, ..round };
    let _ = round.compare().exits(1);
    let refused = round.repair("r", &[]);
    assert!(
        refused.exits(2).stderr.contains("column \"needed\" is NOT NULL"),
        "{}",
        refused.stderr
    );
    assert!(!round.path("r").exists());
    let _ = round.repair("r", &["--kinds", "update"]).exits(0);
}

#[test]
fn findings_of_another_spec_and_truncated_ones_are_refused() {
    let round = round();
    let file = round.path("findings.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let cut = text.rfind("{\"type\":\"summary\"").unwrap();
    let refused = |text: &str, why: &str| {
        std::fs::write(&file, text).unwrap();
        let outcome = round.repair("r", &[]);
        assert!(outcome.exits(2).stderr.contains(why), "{}", outcome.stderr);
        assert!(!round.path("r").exists());
    };
    refused(&text[..cut], "it has no summary");
    refused(&text[..cut + 9], "it was cut off");
    refused(&format!("{text}{text}"), "two runs of this spec");
    refused(&text.replace("\"spec\":\"test\"", "\"spec\":\"other\""), "holds no run of spec");
    refused("", "holds no run of spec");
    std::fs::write(&file, &text).unwrap();
    let spec = std::fs::read_to_string(&round.spec).unwrap();
    std::fs::write(&round.spec, format!("{spec}# changed\n")).unwrap();
    let outcome = round.repair("r", &[]);
    assert!(outcome.exits(2).stderr.contains("the spec was changed"), "{}", outcome.stderr);
    std::fs::write(&round.spec, &spec).unwrap();
}

#[test]
fn an_edited_an_expired_and_a_strange_repair_are_refused() {
    let round = round();
    let _ = round.repair("r", &[]).exits(0);
    let before = round.state(true);
    let refused = |why: &str| {
        for flags in [&[][..], &["--execute"]] {
            let outcome = round.apply("r", flags);
            assert!(outcome.exits(2).stderr.contains(why), "{}", outcome.stderr);
        }
        assert_eq!(round.state(true), before);
    };
    let folder = std::fs::metadata(round.path("r")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&folder) & 0o777, 0o700);
    let entries = std::fs::read_dir(round.path("r")).unwrap();
    for entry in entries {
        use std::os::unix::fs::PermissionsExt;
        let (path, mode) = (
            entry.as_ref().unwrap().path(),
            entry.unwrap().metadata().unwrap().permissions().mode(),
        );
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
        if path.ends_with("manifest.json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace('a', "b")).unwrap();
        refused("the seal of");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        refused("is a symbolic link");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let manifest = round.path("r/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let year = text.split("\"expires_at\": \"").nth(1).unwrap()[..4].to_owned();
    for (from, to, why) in [
        (
            format!("\"expires_at\": \"{year}"),
            "\"expires_at\": \"2001".to_owned(),
            "was valid until 2001",
        ),
        (
            format!("\"database\": \"{}\"", round.pair.database),
            "\"database\": \"other\"".to_owned(),
            "made for database \"other\"",
        ),
        (
            "\"spec\": \"test\"".to_owned(),
            "\"spec\": \"other\"".to_owned(),
            "made for spec \"other\"",
        ),
        (
            "\"column id\": \"".to_owned(),
            "\"column id\": \"0".to_owned(),
            "was changed since the repair was made: column id",
        ),
    ] {
        std::fs::write(&manifest, text.replace(&from, &to)).unwrap();
        refused("the seal of manifest.json is broken");
        // With a new checksum as well, the repair must still be for this spec.
        let forged: Manifest = serde_json::from_str(&text.replace(&from, &to)).unwrap();
        std::fs::write(&manifest, forged.write().unwrap()).unwrap();
        refused(why);
    }
    std::fs::write(&manifest, &text).unwrap();
    let again = round.repair("r", &[]);
    assert!(again.exits(2).stderr.contains("there is something already"), "{}", again.stderr);
    round.pair.sql(Side::Target, "alter table t add more text");
    let outcome = round.apply("r", &[]);
    // The new column is unmapped, and the plan reports this first.
    assert!(outcome.exits(2).stderr.contains("\"more\""), "{}", outcome.stderr);
}

#[test]
fn a_script_cut_off_anywhere_applies_nothing_in_silence() {
    let source = format!("{TABLE} insert into t select n, 'v' || n from generate_series(1, 40) n;");
    let round = RoundTrip::new(&source, TABLE, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    let script = round.scripts("r", ".sql").remove(0);
    let text = std::fs::read_to_string(script).unwrap();
    let commit = text.find("COMMIT;").unwrap();
    let before = round.state(true);
    for at in (0..commit).step_by(commit / 40) {
        let cut = round.pair.scratch.file("cut.sql", &text[..at]);
        let said = round.psql(&cut);
        assert!(!said.stdout.contains("applied"), "{}", said.stdout);
        assert_eq!(round.state(true), before, "cut at {at}");
    }
}

#[test]
fn a_script_for_another_database_or_cluster_is_refused() {
    let round = round();
    let _ = round.repair("r", &[]).exits(0);
    let script = round.scripts("r", ".sql").remove(1);
    let there = RoundTrip { written: Side::Source, ..round };
    let before = there.state(true);
    // A copy of the cluster has the same identifier, so the script gets another one.
    let text = std::fs::read_to_string(&script).unwrap();
    let cluster = there.pair.sql(Side::Target, "select system_identifier from pg_control_system()");
    assert!(text.contains(&format!("-- cluster    {cluster} ")));
    let other =
        there.pair.scratch.file("other.sql", &text.replace(&cluster, "7000000000000000000"));
    let said = there.psql(&other);
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("made for cluster 7000000000000000000"), "{}", said.stderr);
    let text = text.replace(&format!("'{}'", there.pair.database), "'elsewhere'");
    let other = there.pair.scratch.file("other.sql", &text);
    let said = there.psql(&other);
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("made for database \"elsewhere\""), "{}", said.stderr);
    assert_eq!(there.state(true), before);
}

/// A repair would be applied to something else: these are the changes that can happen between its
/// creation and its application.
#[test]
fn what_no_longer_fits_is_refused_with_a_remedy() {
    let round = round();
    let _ = round.repair("r", &[]).exits(0);
    let database = format!("{}_other", round.pair.database);
    round.pair.clusters.target.sql("postgres", &format!("create database {database}"));
    round.pair.clusters.target.sql(&database, TABLE);
    let other = round.pair.clusters.target.url("postgres", &database);
    let apply = || round.program().args(&["apply", "spec.toml", "r", "--execute"]);
    let refuses = |program: crate::support::Program, why: &str, hint: &str| {
        let before = round.state(true);
        let outcome = program.run();
        assert!(outcome.exits(2).stderr.contains(why), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("hint: {hint}")), "{}", outcome.stderr);
        assert_eq!(round.state(true), before);
    };
    refuses(apply().env("TARGET_URL", &other), "made for database", "Check url in the spec");
    round.pair.clusters.target.sql("postgres", &format!("drop database {database}"));
    let migrated = "table public.t was changed since the repair was made";
    round.pair.sql(Side::Target, "alter table t alter id type bigint");
    refuses(apply(), migrated, "Make a new one: compare, then repair");
    round.pair.sql(Side::Target, "alter table t alter id type int");
    // Another table of the same name and shape is not the compared one.
    round.pair.sql(
        Side::Target,
        "alter table t rename to old; create table t (like old including all); insert into t select * from old",
    );
    refuses(apply(), migrated, "Make a new one: compare, then repair");
    refuses(
        round.program().args(&["apply", "spec.toml", "nowhere"]),
        "No such file",
        "Name the folder that repair wrote",
    );
    std::fs::write(round.path("r/manifest.json"), "{").unwrap();
    refuses(apply(), "manifest.json is not readable", "Make a new one: compare, then repair");
}

#[test]
fn a_repair_is_private_whatever_the_umask() {
    let round = round();
    let open = round.path("open");
    std::fs::create_dir(&open).unwrap();
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o7777
    };
    let set = |mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&open, mode).unwrap();
    };
    let repair = |out: &str| {
        let command = format!(
            "umask 000; exec {} repair spec.toml --authority source --from findings.jsonl --out {out}",
            env!("CARGO_BIN_EXE_pgreconcile")
        );
        let url = |side: Side| round.pair.clusters[side].url("postgres", &round.pair.database);
        std::process::Command::new("sh")
            .args(["-c", &command])
            .current_dir(round.pair.scratch.path())
            .env("SOURCE_URL", url(Side::Source))
            .env("TARGET_URL", url(Side::Target))
            .output()
            .unwrap()
    };
    assert_eq!(repair("r").status.code(), Some(0));
    assert_eq!(mode(&round.path("r")), 0o700);
    for entry in std::fs::read_dir(round.path("r")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    // Where any user may write, any user may replace the folder.
    set(0o777);
    let refused = repair("open/r");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && told.contains("open"), "{told}");
    assert!(!open.join("r").exists());
    set(0o1777);
    assert_eq!(repair("open/r").status.code(), Some(0));
    // The remains of a killed repair are removed; a folder that only looks similar is not.
    for left in [".pgreconcile-repair-Ab12Cd", ".pgreconcile-repair-no id"] {
        std::fs::create_dir(round.path(left)).unwrap();
        std::fs::write(round.path(left).join("001-t-insert.sql"), "rows").unwrap();
    }
    assert_eq!(repair("again").status.code(), Some(0));
    assert!(!round.path(".pgreconcile-repair-Ab12Cd").exists());
    assert!(round.path(".pgreconcile-repair-no id").exists());
    // A link in its place is not followed.
    std::os::unix::fs::symlink("/tmp", round.path("link")).unwrap();
    assert_eq!(repair("link").status.code(), Some(2));
}

#[test]
fn apply_passes_a_pooler() {
    let round = round();
    round.pair.sql(Side::Target, "grant insert, update, delete on t to reader");
    let bouncer = Bouncer::start(round.pair.clusters, &round.pair.database, 2);
    let through = || {
        let program = round.program();
        let program = program.env("SOURCE_URL", &bouncer.url(Side::Source));
        program.env("TARGET_URL", &bouncer.url(Side::Target))
    };
    let spec = round.spec.to_str().unwrap();
    let flags = ["--authority", "source", "--out", "r", "--from", "findings.jsonl"];
    let _ = through().args(&["repair", spec]).args(&flags).run().exits(0);
    for _ in 0..2 {
        let _ = through().args(&["apply", spec, "r", "--execute"]).run().exits(0);
    }
    let _ = round.compare().exits(0);
}

#[test]
fn a_killed_apply_continues_when_it_is_started_again() {
    let source =
        format!("{TABLE} insert into t select n, 'v' || n from generate_series(1, 4000) n;");
    let round = RoundTrip::new(&source, TABLE, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &["--batch", "50"]).exits(0);
    let spec = round.spec.to_str().unwrap();
    for pause in [5, 60, 120, 180] {
        let running = round.program().args(&["apply", spec, "r", "--execute"]).start();
        let until = format!("select pg_sleep({pause} / 1000.0)");
        round.pair.sql(Side::Source, &until);
        running.signal("KILL");
        let _ = running.finish();
        let rows: u32 = round.pair.sql(Side::Target, "select count(*) from t").parse().unwrap();
        assert_eq!(rows % 50, 0);
    }
    let _ = round.apply("r", &["--execute"]).exits(0);
    let _ = round.compare().exits(0);
}
