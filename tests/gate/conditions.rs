//! The gate is open when every condition holds; each condition alone closes it and is named.

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::gate::{
    MAPPINGS, alike, asking, clean_runs, closed_by, compare, gate, reasons, spec,
};
use crate::support::ledger_database::LedgerDatabase;
use crate::support::report::{in_shell, json, names};
use crate::support::wait;
use crate::support::{Program, refused};

#[test]
fn it_is_open_when_every_condition_holds() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    clean_runs(&pair, &spec, 2);
    let outcome = gate(&pair, &[]);
    let lines: Vec<&str> = outcome.exits(0).stdout.lines().collect();
    assert_eq!((lines[0], lines.len()), ("test: open", 2), "{lines:?}");
    assert!(lines[1].starts_with("  2 whole runs complete and clean, the newest 0"), "{lines:?}");
    assert_eq!(outcome.stderr, "");
    assert_eq!(gate(&pair, &["--quiet"]).exits(0).stdout, "");
    let record = json(&gate(&pair, &["--format", "json", "--quiet"]).exits(0).stdout);
    assert_eq!(
        names(&record),
        "type version spec scope judged_at verdict reasons runs verified sequences"
    );
    assert_eq!((&record["verdict"], &record["spec"]), (&"open".into(), &"test".into()));
    assert_eq!(record["reasons"], Value::Array(Vec::new()));
    assert_eq!(record["verified"], json(r#"{"t":1.0,"u":1.0}"#));
    assert_eq!(record["runs"].as_array().unwrap().len(), 2);
    let sequence = &record["sequences"][0];
    assert_eq!(
        names(sequence),
        "mapping sequence table column last_value is_called increment end holds last_key standby"
    );
    assert_eq!(
        (&sequence["sequence"], &sequence["last_key"]),
        (&"public.t_id_seq".into(), &30.into())
    );
    // A folder that holds only the spec is treated as that spec; the default policy requires three
    // runs.
    let spec = pair.spec(MAPPINGS);
    clean_runs(&pair, &spec, 3);
    asking(&pair, &[]).run().exits(0);
    let folder = pair.program().without("PGRECONCILE_LEDGER").args(&["gate", "."]).run();
    assert!(folder.exits(0).stdout.starts_with("test: open\n"));
}

#[test]
fn too_few_runs() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    clean_runs(&pair, &spec, 1);
    let said = ["1 whole run is in the ledger, and the last 2 must be clean"];
    closed_by(&pair, &[], "clean_runs", &said);
    // Partial runs and rechecks do not count as a whole run, however many they are.
    compare(&pair, &spec, &["--sample", "50%", "--chunk-rows", "3"]).exits(0);
    compare(&pair, &spec, &["--mapping", "t"]).exits(0);
    let recheck = pair.program().without("PGRECONCILE_LEDGER").args(&["recheck", "spec.toml"]);
    recheck.args(&["--settle", "0s"]).run().exits(0);
    let said = [said[0], "not counted: 3 of a part only, or a recheck"];
    closed_by(&pair, &[], "clean_runs", &said);
    clean_runs(&pair, &spec, 1);
    gate(&pair, &[]).exits(0);
}

#[test]
fn a_run_that_differs() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    clean_runs(&pair, &spec, 2);
    pair.sql(Side::Target, "update t set v = 'x' where id in (3, 4)");
    // In a sample, in a run of one mapping, in a whole run.
    for flags in [&["--mapping", "t"][..], &["--sample", "99%", "--chunk-rows", "1"], &[]] {
        compare(&pair, &spec, flags).exits(1);
        let told = reasons(&gate(&pair, &[]));
        assert!(told.last().unwrap().contains(" differs in 2 rows of mapping \"t\""), "{told:?}");
    }
    pair.sql(Side::Target, "update t set v = 'v' || id");
    clean_runs(&pair, &spec, 1);
    let reason = closed_by(&pair, &[], "clean_runs", &[" differs in 2 rows of mapping \"t\""]);
    assert_eq!(
        (names(&reason), &reason["mapping"]),
        ("condition mapping run message".into(), &"t".into())
    );
    clean_runs(&pair, &spec, 1);
    gate(&pair, &[]).exits(0);
}

#[test]
fn a_run_that_is_not_complete() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    clean_runs(&pair, &spec, 2);
    pair.sql(Side::Target, "update u set v = 'x'");
    compare(&pair, &spec, &["--max-findings", "1"]).exits(3);
    pair.sql(Side::Target, "update u set v = 'v' || id");
    clean_runs(&pair, &spec, 1);
    let said = ["is incomplete: mapping \"u\": there are more findings than max_findings"];
    closed_by(&pair, &[], "clean_runs", &said);
}

#[test]
fn a_run_that_was_killed_and_one_that_is_under_way() {
    let pair = alike();
    pair.sql(Side::Target, "create table pace as select 0 as pause");
    pair.grant(Side::Target);
    let paced = "target.where = \"pg_sleep((select pause from public.pace)) is not null\"\n";
    let spec = spec(&pair, "", &format!("{MAPPINGS}{paced}"));
    clean_runs(&pair, &spec, 2);
    pair.sql(Side::Target, "update pace set pause = 30");
    let mut running = pair.comparing(&spec, &["-vv"]).without("PGRECONCILE_LEDGER").start();
    running.await_line("chunk started");
    let under_way = gate(&pair, &[]);
    running.signal("KILL");
    let _ = running.finish();
    under_way.exits(0);
    closed_by(&pair, &[], "clean_runs", &["has no end: it was killed"]);
    // After it was resumed and has ended, it is a run like any other.
    pair.sql(Side::Target, "update pace set pause = 0");
    compare(&pair, &spec, &["--resume"]).exits(0);
    gate(&pair, &[]).exits(0);
}

#[test]
fn what_was_not_verified_within_the_window() {
    let pair = alike();
    let spec = spec(&pair, "window = \"1ms\"", MAPPINGS);
    clean_runs(&pair, &spec, 2);
    let told = reasons(&gate(&pair, &[]));
    let said = |mapping: &str| {
        format!("only 0% of mapping \"{mapping}\" was verified within the last 1ms")
    };
    assert_eq!(told, [said("t"), said("u")]);
}

#[test]
fn a_newest_run_that_is_too_old() {
    let pair = alike();
    let spec = spec(&pair, "max_age = \"1ms\"", MAPPINGS);
    clean_runs(&pair, &spec, 2);
    closed_by(&pair, &[], "age", &["the newest whole run ", " ago, max_age is 1ms"]);
}

#[test]
fn rows_that_kept_changing() {
    let pair = alike();
    let moving =
        "columns.v = { sql = \"case when id = 2 then clock_timestamp()::text else v end\" }\n";
    let spec = spec(&pair, "[compare]\nmax_unsettled = 1", &format!("{MAPPINGS}{moving}"));
    clean_runs(&pair, &spec, 2);
    let told = reasons(&gate(&pair, &[]));
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("1 row of mapping \"u\" kept changing in run "), "{told:#?}");
    assert!(told.contains(
        &"{\"id\":\"2\"} of mapping \"u\" kept changing in two consecutive runs".to_owned()
    ));
    let record = json(&gate(&pair, &["--format", "json"]).stdout);
    let of_others = |reason: &&Value| reason["condition"] != "unsettled";
    assert_eq!(record["reasons"].as_array().unwrap().iter().find(of_others), None);
}

#[test]
fn a_mapping_without_rows() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    Side::BOTH.into_iter().for_each(|side| drop(pair.sql(side, "delete from u")));
    clean_runs(&pair, &spec, 2);
    closed_by(&pair, &[], "empty", &["mapping \"u\" had no row on either side in run "]);
}

#[test]
fn an_accept_rule_that_has_expired() {
    let pair = alike();
    let rule = "[[mapping.accept]]\nwhere = \"source.id = 1\"\nreason = \"OPS-1\"\nuntil = ";
    let with = |until: &str| {
        let spec = spec(&pair, "", &format!("{MAPPINGS}{rule}\"{until}\"\n"));
        clean_runs(&pair, &spec, 2);
    };
    with("2026-01-31");
    let said = ["an accept rule of mapping \"u\" has expired on 2026-01-31: OPS-1"];
    closed_by(&pair, &[], "expired_accept", &said);
    with("9999-12-31");
    gate(&pair, &[]).exits(0);
}

#[test]
fn a_spec_that_has_changed_and_other_parameters() {
    let pair = alike();
    let within = "source.where = \"id < :most\"\ntarget.where = \"id < :most\"\n";
    let more = "[params]\nmost = { type = \"int8\", default = \"100\" }";
    let file = spec(&pair, more, &format!("{MAPPINGS}{within}"));
    clean_runs(&pair, &file, 2);
    gate(&pair, &[]).exits(0);
    let told = reasons(&gate(&pair, &["--param", "most=50"]));
    assert!(told[0].ends_with("not counted: 2 with other parameters"), "{told:#?}");
    for _ in 0..2 {
        compare(&pair, &file, &["--param", "most=50"]).exits(0);
    }
    // Each is judged by its own runs.
    gate(&pair, &["--param", "most=50"]).exits(0);
    gate(&pair, &[]).exits(0);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "# another file\n").unwrap();
    let told = reasons(&gate(&pair, &[]));
    assert!(told[0].starts_with("the spec has changed since the newest run, 0"), "{told:#?}");
    assert!(told[1].starts_with("0 whole runs are in the ledger"), "{told:#?}");
    clean_runs(&pair, &file, 2);
    gate(&pair, &[]).exits(0);
}

/// A group would be closed by another group's differences, or opened despite its own. The first
/// table has three tenants; the second has no groups.
#[test]
fn groups_are_judged_one_by_one() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    pair.sql(Side::Target, "update t set v = 'x' where tenant = 2 and id < 9");
    for _ in 0..2 {
        compare(&pair, &spec, &[]).exits(1);
    }
    gate(&pair, &["--group", "0,1"]).exits(0);
    gate(&pair, &["--group", "1"]).exits(0);
    let told = reasons(&gate(&pair, &["--group", "2"]));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains(" differs in 3 rows of group \"2\" of mapping \"t\""), "{told:#?}");
    let outcome = gate(&pair, &["--group", "0,1,2"]);
    let answers = "group 0: open\ngroup 1: open\ngroup 2: closed\n";
    assert!(outcome.exits(1).stdout.ends_with(answers), "{}", outcome.stdout);
    let record = json(&gate(&pair, &["--group", "1,2", "--format", "json"]).stdout);
    let groups = r#"[{"group":"1","verdict":"open"},{"group":"2","verdict":"closed"}]"#;
    assert_eq!(record["groups"], json(groups));
    assert_eq!(record["reasons"][0]["group"], "2");
    // A group that is in no run, and the variable.
    let told = reasons(&gate(&pair, &["--group", "1,9"]));
    assert!(told.iter().all(|line| line.contains(" has no row of group \"9\"")), "{told:#?}");
    asking(&pair, &[]).env("PGRECONCILE_GROUP", "0,1").run().exits(0);
    reasons(&gate(&pair, &[]));
    // A finding of a mapping without groups closes every group.
    pair.sql(Side::Target, "update u set v = 'x' where id = 1");
    compare(&pair, &spec, &[]).exits(1);
    let told = reasons(&gate(&pair, &["--group", "1"]));
    assert!(told[0].ends_with(" differs in 1 row of mapping \"u\""), "{told:#?}");
}

#[test]
fn trouble_is_neither_open_nor_closed() {
    let pair = alike();
    let file = spec(&pair, "", MAPPINGS);
    let trouble = |program: Program, headline: &str, hint: &str| {
        let told = refused(&program.run());
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].headline.contains(headline) && told[0].hint.contains(hint), "{told:#?}");
    };
    trouble(asking(&pair, &[]), "it holds no run", "Compare first");
    trouble(asking(&pair, &["--ledger", "off"]), "without a ledger", "Leave --ledger off out");
    pair.scratch.file("l.db", &"no ledger ".repeat(1000));
    trouble(asking(&pair, &["--ledger", "l.db"]), "it is damaged", "Move the file away");
    clean_runs(&pair, &file, 2);
    gate(&pair, &[]).exits(0);
    trouble(asking(&pair, &["--param", "x=1"]), "no spec declares a parameter \"x\"", "");
    trouble(asking(&pair, &["--group", ""]), "names an empty group", "");
    let gone = |variable: &str, url: &str| asking(&pair, &[]).env(variable, url);
    for variable in ["SOURCE_URL", "TARGET_URL"] {
        trouble(gone(variable, "host=/nowhere dbname=x"), "spec.toml: the ", "");
        trouble(gone(variable, "hosts=/nowhere"), "cannot be used", "");
    }
    // A sequence that may not be read proves nothing.
    pair.sql(Side::Target, "revoke select on sequence t_id_seq, u_id_seq from reader");
    let told = refused(&gate(&pair, &[]));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(
        told[1].headline,
        "role \"reader\" may not read sequence public.u_id_seq of the target"
    );
    assert_eq!(told[1].hint, "GRANT SELECT ON SEQUENCE public.u_id_seq TO reader;");
    pair.sql(Side::Target, &told.iter().map(|problem| problem.hint.as_str()).collect::<String>());
    gate(&pair, &[]).exits(0);
    // A spec that never fitted the tables is no change of the tables.
    spec(
        &pair,
        "",
        &MAPPINGS.replacen("source.table = \"public.u", "source.table = \"public.w", 1),
    );
    trouble(asking(&pair, &["--ledger", ".pgreconcile/test.db"]), "has no table", "");
    spec(&pair, "", &MAPPINGS.replace("group_by = \"tenant\"\n", ""));
    trouble(asking(&pair, &["--group", "1"]), "has no groups", "group_by");
    let folder =
        in_shell(&pair, "cp spec.toml a.toml; sed -i s/test/other/ a.toml; \"$BIN\" gate .");
    assert!(refused(&folder)[0].headline.contains("holds several specs"));
    in_shell(&pair, "cp spec.toml b.toml; \"$BIN\" gate b.toml >/dev/full").exits(2);
}

/// A resumed run's differences would be ignored, since the clean runs in between began later and
/// ended earlier.
#[test]
fn a_resumed_run_that_differs_closes_the_gate() {
    let keeper = LedgerDatabase::new();
    for (ledger, begun, goes_on) in [
        (".pgreconcile/own.db".to_owned(), &["--sample", "90%"][..], &["--resume"][..]),
        (keeper.url(), &["--run-id", "night-1", "--chunk-rows", "10"], &[]),
    ] {
        let pair = alike();
        let spec = spec(&pair, "[pace]\npause_file = \"pause\"", MAPPINGS);
        let program =
            |flags: &[&str]| pair.comparing(&spec, flags).env("PGRECONCILE_LEDGER", &ledger);
        let pause = pair.scratch.file("pause", "");
        let mut interrupted = program(&[begun, &["-v"]].concat()).start();
        interrupted.await_line("throttled");
        interrupted.signal("INT");
        interrupted.finish().exits(3);
        std::fs::remove_file(pause).unwrap();
        for _ in 0..2 {
            program(&[]).run().exits(0);
        }
        let verb = |args: &[&str]| pair.program().env("PGRECONCILE_LEDGER", &ledger).args(args);
        verb(&["gate", "spec.toml"]).run().exits(0);
        pair.sql(Side::Target, "update t set v = 'other'");
        program(&[begun, goes_on].concat()).run().exits(1);
        let told = reasons(&verb(&["gate", "spec.toml"]).run());
        assert!(told.iter().any(|line| line.contains("rows of mapping \"t\"")), "{told:#?}");
        let told = verb(&["history", "spec.toml", "--format", "json"]).run();
        let runs = json(&told.stdout)["runs"].clone();
        let newest = runs.as_array().unwrap().last().unwrap();
        assert_eq!(newest["summary"]["verdict"], "diverged", "{newest}");
        assert_eq!(newest["trend"]["gone"], 0, "{newest}");
    }
}

/// A tenant would be opened although a run in progress has found differences in its rows. The other
/// tenants do not wait for the run.
#[test]
fn a_run_under_way_closes_the_groups_in_which_it_differs() {
    let pair = alike();
    let slow = "source.table = \"public.u\"\nsource.where = \"pg_sleep(v::int) is not null\"\n";
    let spec = spec(&pair, "", &MAPPINGS.replace("source.table = \"public.u\"\n", slow));
    for side in Side::BOTH {
        pair.sql(side, "update u set v = 0; update t set v = 'b' where id = 1");
    }
    clean_runs(&pair, &spec, 2);
    for side in Side::BOTH {
        pair.sql(side, "update u set v = 12");
    }
    // Row 2 is in tenant 2 at the source, and in tenant 0 at the target.
    pair.sql(Side::Target, "update t set tenant = 0 where id = 2");
    let run = pair.comparing(&spec, &["--jobs", "1"]).without("PGRECONCILE_LEDGER").start();
    wait::until("the gate closes", || gate(&pair, &["--group", "2"]).code != 0);
    let told = reasons(&gate(&pair, &["--group", "2"]));
    assert!(told[0].ends_with("is under way and differs already in group \"2\""), "{told:#?}");
    reasons(&gate(&pair, &["--group", "0"]));
    run.signal("INT");
    let _ = run.finish();
}
