//! The gate's checks of the servers as they are now: tables, columns and sequences that differ from
//! those that were compared close it.

use pgreconcile::schema::Side;

use crate::support::gate::{MAPPINGS, alike, asking, clean_runs, closed_by, gate, reasons, spec};
use crate::support::{Cluster, MAPPING, Program, Scratch, Settings};

#[test]
fn tables_that_the_spec_fits_no_more() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    clean_runs(&pair, &spec, 2);
    for (change, back, word) in [
        ("alter table u add column w int", "alter table u drop column w", "\"w\""),
        (
            "alter table u alter column v type float8 using 1",
            "alter table u alter column v type text using 'v' || id",
            "no common form",
        ),
        ("alter table u rename to w", "alter table w rename to u", "has no table \"public.u\""),
    ] {
        pair.sql(Side::Target, change);
        let outcome = gate(&pair, &[]);
        let told = reasons(&outcome);
        assert_eq!(told.len(), 1, "{told:#?}");
        let said = "the spec no longer fits both catalogs: ";
        assert!(told[0].starts_with(said) && told[0].contains(word), "{word}: {told:#?}");
        // The reason is on stderr, with the place in the file.
        assert!(outcome.stderr.contains("--> spec.toml:"), "{}", outcome.stderr);
        pair.sql(Side::Target, back);
        gate(&pair, &[]).exits(0);
    }
}

#[test]
fn sequences_that_are_behind() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    let insert = "insert into t (id, tenant, v) values (40, 1, 'x')";
    Side::BOTH.into_iter().for_each(|side| drop(pair.sql(side, insert)));
    clean_runs(&pair, &spec, 2);
    let said = [
        "sequence public.t_id_seq of the target is behind: it gives 31 next, and column \"id\" of \
         public.t has come to 40",
    ];
    closed_by(&pair, &[], "sequence", &said);
    let state = |sql: &str| pair.sql(Side::Target, &format!("select {sql}"));
    state("setval('t_id_seq', 40, false)");
    closed_by(&pair, &[], "sequence", &["it gives 40 next"]);
    state("setval('t_id_seq', 41, false)");
    gate(&pair, &[]).exits(0);
    // After its last number the sequence starts again, or an INSERT fails.
    pair.sql(Side::Target, "alter sequence t_id_seq maxvalue 50 cycle");
    state("setval('t_id_seq', 50)");
    closed_by(&pair, &[], "sequence", &["has given its last number, 50"]);
    pair.sql(Side::Target, "alter sequence t_id_seq maxvalue 500");
    gate(&pair, &[]).exits(0);
    // The serial of the other table, and a sequence without an owner.
    state("setval('u_id_seq', 1)");
    closed_by(&pair, &[], "sequence", &["public.u_id_seq", "it gives 2 next"]);
    let nobodys = "create sequence \"Odd\" start 6; alter table u alter column id set default \
                   nextval('\"Odd\"'); alter sequence u_id_seq owned by none; \
                   grant select on \"Odd\" to reader";
    pair.sql(Side::Target, nobodys);
    gate(&pair, &[]).exits(0);
    pair.sql(Side::Target, "alter sequence \"Odd\" restart 5");
    closed_by(&pair, &[], "sequence", &["public.\"Odd\"", "it gives 5 next"]);
    // A sequence that counts down.
    pair.sql(Side::Target, "alter sequence \"Odd\" increment -1 minvalue -9 start 1 restart 1");
    closed_by(
        &pair,
        &[],
        "sequence",
        &["it gives 1 next, and column \"id\" of public.u has come to 1"],
    );
    pair.sql(Side::Target, "alter sequence \"Odd\" restart 0");
    gate(&pair, &[]).exits(0);
    // The target itself fills a column that the mapping does not write.
    pair.sql(Side::Target, "alter table u add column own serial; select setval('u_own_seq', 1)");
    let ignoring = MAPPINGS.trim_end().to_owned() + "\ntarget.ignore = [\"own\"]\n";
    let spec = self::spec(&pair, "", &ignoring);
    clean_runs(&pair, &spec, 2);
    gate(&pair, &[]).exits(0);
}

/// The gate would open for tables that were not compared: the plan is the same, but the tables are
/// others.
#[test]
fn tables_that_are_not_those_that_were_compared() {
    let pair = alike();
    let spec = spec(&pair, "", MAPPINGS);
    for (change, why) in [
        (
            "alter table u alter column v type varchar(50)",
            "column \"v\" was text and is character varying(50)",
        ),
        (
            "alter table u rename to old; create table u as select * from old; \
             alter table u add primary key (id); grant select on u to reader",
            "what is read was dropped and made again",
        ),
    ] {
        clean_runs(&pair, &spec, 2);
        gate(&pair, &[]).exits(0);
        pair.sql(Side::Target, change);
        let said = ["the target of mapping \"u\" is not what run 0", why];
        let reason = closed_by(&pair, &[], "schema_change", &said);
        assert_eq!(reason["mapping"], "u");
        // After a comparison one run is enough: the others were clean too.
        clean_runs(&pair, &spec, 1);
        gate(&pair, &[]).exits(0);
    }
    // The physical order of the rows does not matter.
    pair.sql(Side::Target, "vacuum full u");
    gate(&pair, &[]).exits(0);
    // Another database with the same tables was never compared.
    let other = alike();
    let elsewhere = asking(&pair, &[]).env("TARGET_URL", &other.url(Side::Target)).run();
    let told = reasons(&elsewhere);
    let moved = format!("database \"{}\" has become \"{}\"", pair.database, other.database);
    assert!(told.len() == 2 && told.iter().all(|line| line.ends_with(&moved)), "{told:#?}");
}

/// The gate would open to a primary whose next number is in use: a primary writes 32 numbers ahead
/// into its log, and its standby shows those.
#[test]
fn a_standby_does_not_vouch_for_its_primarys_sequences() {
    let table = "create table t (id int primary key generated by default as identity)";
    let (source, primary) =
        (Cluster::start(Settings::default()), Cluster::start(Settings::default()));
    source.sql("postgres", &format!("{table}; insert into t select generate_series(1, 20)"));
    primary.sql("postgres", table);
    let standby = primary.standby(Settings("hot_standby = on"));
    // A commit waits until the standby shows it.
    primary.sql("postgres", "alter system set synchronous_standby_names = '*'");
    primary.sql("postgres", "alter system set synchronous_commit = 'remote_apply'");
    primary.sql("postgres", "select pg_reload_conf()");
    primary
        .sql("postgres", "insert into t select generate_series(1, 20); select nextval('t_id_seq')");
    let shown = standby.sql("postgres", "select last_value from t_id_seq");
    assert!(shown.parse::<i64>().unwrap() > 20, "nothing to disbelieve: {shown}");
    let scratch = Scratch::new();
    let head = "version = 1\nname = \"test\"\ngate.clean_runs = 1\n[source]\nurl = \"${SOURCE_URL}\"\n\
                [target]\nurl = \"${TARGET_URL}\"\n";
    scratch.file("spec.toml", &format!("{head}{MAPPING}"));
    let program = |arguments: &[&str]| {
        let program = Program::new().without("PGRECONCILE_LEDGER").current_dir(scratch.path());
        let program = program.env("SOURCE_URL", &source.url("postgres", "postgres"));
        program.env("TARGET_URL", &standby.url("postgres", "postgres")).args(arguments).run()
    };
    let _ = program(&["compare", "spec.toml", "--settle", "0s"]).exits(0);
    let told = reasons(&program(&["gate", "spec.toml"]));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("it gives 2 next, and column \"id\" of public.t has come to 20"));
    primary.sql(
        "postgres",
        "insert into t values (99); select setval('t_id_seq', 52); delete from t where id = 99",
    );
    let _ = program(&["gate", "spec.toml"]).exits(0);
}
