//! Durability of a commit: `apply`, the scripts and a ledger in a database wait until it survives a
//! crash, whatever the role's own setting is.

use pgreconcile::schema::Side;

use crate::support::fault;
use crate::support::ledger_database::LedgerDatabase;
use crate::support::round_trip::{RoundTrip, same};

/// Each transaction that writes to the table records its own setting.
const TABLE: &str = "create table noted (setting text);
    create table t (id int primary key, v text);
    create function note() returns trigger language plpgsql as $$ begin
        insert into public.noted values (current_setting('synchronous_commit')); return null;
    end $$;
    create trigger note after insert or update or delete on t
        for each statement execute function note();";

#[test]
fn a_repair_waits_for_its_commits_unless_the_role_waits_longer() {
    let round = RoundTrip::new(
        "create table t (id int primary key, v text); insert into t values (1, 'a');",
        TABLE,
        &same("public.t"),
    );
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    let mut raised = 0;
    for (own, then) in [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ] {
        let database = &round.pair.database;
        let set = format!("alter database {database} set synchronous_commit = {own}");
        round.pair.sql(Side::Target, &set);
        let _ = round.apply("r", &["--execute"]).exits(0);
        round.run_all("r", ".undo.sql");
        round.run_all("r", ".sql");
        round.run_all("r", ".undo.sql");
        // The next setting starts without a record of applied batches.
        std::fs::remove_file(round.path("r/applied.jsonl")).unwrap();
        let noted = "select string_agg(distinct setting, ' '), count(*) from noted";
        assert_eq!(round.pair.sql(Side::Target, noted), format!("{then}|4"), "{own}");
        round.pair.sql(Side::Target, "truncate noted");
        raised += if own == then { 0 } else { 4 };
    }
    fault::COMMIT_WEAK.tried(raised);
}

#[test]
fn a_ledger_in_a_database_waits_for_its_commits() {
    let round = RoundTrip::new(TABLE, TABLE, &same("public.t"));
    let keeper = LedgerDatabase::new();
    let compare = || {
        let comparing = round.pair.comparing(&round.spec, &[]);
        comparing.env("PGRECONCILE_LEDGER", &keeper.url()).run()
    };
    let _ = compare().exits(0);
    let database = &keeper.pair.database;
    keeper.sql(&format!(
        "{TABLE} grant insert on noted to reader; create trigger note after insert or update \
         on pgreconcile.run for each statement execute function note(); \
         alter database {database} set synchronous_commit = off"
    ));
    let _ = compare().exits(0);
    assert_eq!(keeper.sql("select distinct setting from noted").trim(), "on");
}
