//! Changes during a run: tables that are altered, rewritten, swapped or created again while they
//! are read, servers that are promoted or change places. The mapping is marked with the reason, the
//! others continue, and no finding comes from a comparison of the state before with the state
//! after.

use pgreconcile::schema::Side;

use crate::support::{Bouncer, Cluster, Outcome, Pair, Program, Scratch, Settings, fault, refused};

/// Two tables a side; `u` shows that the other mappings continue.
fn table(rows: u32) -> String {
    format!(
        "create table t (id int primary key, v text);
         insert into t select n, 'v' || n from generate_series(1, {rows}) n;
         create table u as select * from t; alter table u add primary key (id); analyze;"
    )
}

const MAPPING: &str =
    "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n";

/// Compares `t` and `u`, and makes a change to `t` in the middle.
fn compare_while(pair: &Pair, flags: &[&str], happens: impl FnOnce()) -> Outcome {
    let spec = pair.spec(&format!("{MAPPING}{}", MAPPING.replace("public.t", "public.u")));
    let flags = [&["-vv", "--chunk-rows", "10", "--jobs", "1"][..], flags].concat();
    let mut running = pair.comparing(&spec, &flags).start();
    running.await_line("chunk=20 ");
    happens();
    running.finish()
}

/// Mapping `t` is marked with this reason and has no findings; `u` is complete.
fn marked(outcome: &Outcome, reason: &str) {
    outcome.balances().exits(3);
    assert_eq!(outcome.findings(), Vec::<String>::new(), "{}", outcome.stderr);
    let mut mappings = outcome.records("mapping");
    mappings.sort_by_key(|mapping| mapping["mapping"].to_string());
    let said = mappings[0]["reason"].as_str().unwrap();
    assert!(said.contains(reason), "{said}");
    assert_eq!(mappings[0]["complete"], false, "{mappings:?}");
    assert!(mappings[0]["coverage"].as_f64().unwrap() < 1.0, "{mappings:?}");
    assert_eq!((&mappings[1]["mapping"], &mappings[1]["complete"]), (&"u".into(), &true.into()));
}

/// Rows of the old table and of the new one would be combined into one result if the catalog were
/// not checked after each chunk.
#[test]
fn an_altered_or_swapped_table_marks_its_mapping() {
    let mut changes = 0;
    for (side, change, reason) in [
        (Side::Target, "alter table t add column w int", "target has changed under way: column \"w\" is new"),
        (Side::Source, "alter table t drop column v", "column \"v\" does not exist any more"),
        (Side::Source, "alter table t alter column v type varchar(40)", "column \"v\" was text and is character varying(40)"),
        (
            Side::Target,
            "begin; alter table t drop column v; alter table t add column v text; update t set v = 'v' || id; commit",
            "column \"v\" was dropped and made again",
        ),
        (Side::Source, "alter table t rename to old", "does not exist any more"),
        (
            Side::Target,
            "begin; alter table t rename to old; create table t as select * from old; alter table t add primary key (id);
             grant select on t to reader; commit",
            "what is read was dropped and made again",
        ),
    ] {
        let pair = Pair::new(&table(2_000), &table(2_000));
        let outcome = compare_while(&pair, &[], || drop(pair.sql(side, change)));
        marked(&outcome, reason);
        changes += 1;
    }
    fault::TABLE_CHANGED.tried(changes);
}

/// A scheduled run would have to be restarted manually, every six hours.
#[test]
fn a_run_whose_table_changed_is_not_gone_on_with() {
    let pair = Pair::new(&table(2_000), &table(2_000));
    let ledger = pair.scratch.path().join("l.db");
    let flags = ["--ledger", ledger.to_str().unwrap(), "--resume"];
    let change = || drop(pair.sql(Side::Target, "alter table t alter column v type varchar(40)"));
    marked(&compare_while(&pair, &flags, change), "the target has changed under way");
    let again = compare_while(&pair, &flags, || ());
    assert!(again.exits(0).stderr.contains("no run was interrupted; a new one starts"));
}

/// Rows that are added with a partition would be missed: they did not exist when the earlier chunks
/// were read.
#[test]
fn a_partition_that_is_attached_marks_its_mapping() {
    let parted = "create table t (id int primary key, v text) partition by range (id);
         create table t1 partition of t for values from (0) to (3000);
         create table later as select n as id, 'v' || n as v from generate_series(1, 0) n;
         alter table later add primary key (id);
         insert into t select n, 'v' || n from generate_series(1, 2000) n;
         create table u as select * from t; alter table u add primary key (id); analyze;";
    let pair = Pair::new(parted, parted);
    let outcome = compare_while(&pair, &[], || {
        pair.sql(
            Side::Target,
            "alter table t attach partition later for values from (3000) to (4000)",
        );
    });
    marked(&outcome, "partitions were attached or detached: there were 1 and are 2");
}

/// A statement that reads blocks of a table that was rewritten would miss rows and read others
/// twice.
#[test]
fn a_rewritten_table_marks_its_mapping_if_read_by_blocks() {
    let scattered = "create table t (id uuid primary key, v text) with (autovacuum_enabled = off);
         insert into t select md5(n::text)::uuid, repeat('v', 500) from generate_series(1, 60000) n;
         create table u (id int primary key); analyze;";
    let pair = Pair::new(scattered, scattered);
    let both = format!("{MAPPING}{}", MAPPING.replace("public.t", "public.u"));
    let spec = pair.spec(&format!("[compare]\nchunk_time = \"1ms\"\n{both}"));
    let mut running =
        pair.comparing(&spec, &["-vv", "--jobs", "1", "--strategy", "digest"]).start();
    running.await_line("chunk=2 ");
    pair.sql(Side::Source, "vacuum full t");
    marked(&running.finish(), "the table was rewritten");
    // With ranges of the key the rows' place on disk does not matter.
    let outcome = compare_while(&Pair::new(&table(2_000), &table(2_000)), &[], || ());
    outcome.balances().exits(0);
}

const STANDBY: Settings<'_> = Settings("hot_standby = on");

/// Compares two servers, where the target has this address, and makes a change in the middle. The
/// run is paused meanwhile: it would end before a server with much to replay is promoted.
fn compare_servers_while(source: &Cluster, target: &str, happens: impl FnOnce()) -> Outcome {
    let scratch = Scratch::new();
    let head = "version = 1\nname = \"change\"\n[source]\nurl = \"${SOURCE_URL}\"\n\
                [target]\nurl = \"${TARGET_URL}\"\n";
    let pace = "[pace]\npause_file = \"pause\"\n";
    let spec = scratch.file("spec.toml", &format!("{head}{pace}{MAPPING}"));
    let mut running = Program::new()
        .env("SOURCE_URL", &source.url("postgres", "postgres"))
        .env("TARGET_URL", target)
        .args(&["compare", spec.to_str().unwrap(), "--settle", "0s", "--format", "jsonl", "-vv"])
        .args(&["--progress", "never", "--chunk-rows", "10", "--jobs", "1"])
        .start();
    running.await_line("chunk=20 ");
    let pause = scratch.file("pause", "");
    running.await_line("throttled");
    happens();
    std::fs::remove_file(pause).unwrap();
    running.finish()
}

fn servers() -> (Cluster, Cluster, Cluster) {
    let source = Cluster::start(Settings::default());
    let primary = Cluster::start(Settings::default());
    for cluster in [&source, &primary] {
        // Long enough that a run is not done before the pause file is seen.
        cluster.sql("postgres", &table(20_000));
    }
    let standby = primary.standby(STANDBY);
    (source, primary, standby)
}

#[test]
fn a_standby_that_is_promoted_marks_its_mapping() {
    let (source, _primary, standby) = servers();
    let url = standby.url("postgres", "postgres");
    let outcome = compare_servers_while(&source, &url, || standby.promote());
    outcome.balances().exits(3);
    let reason = outcome.mapping()["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("the target has changed under way: the standby was promoted"),
        "{reason}"
    );
}

/// The address leads to the former standby. What it had not replayed is lost, so what was read
/// before may not exist there.
#[test]
fn a_primary_that_fails_over_to_its_standby_marks_its_mapping() {
    let (source, primary, standby) = servers();
    let url = format!(
        "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?sslmode=disable",
        primary.port, standby.port
    );
    let outcome = compare_servers_while(&source, &url, || {
        standby.promote();
        primary.kill();
    });
    outcome.balances().exits(3);
    let reason = outcome.mapping()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("it failed over: timeline 1 has become 2"), "{reason}");
}

/// Sources of a target's mapping `t`: a view of a view, a view and a materialized view of
/// partitions, a table that only queries read.
const BENEATH: &str = "
    create table base (id int primary key, v text);
    insert into base select n, 'v' || n from generate_series(1, 2000) n;
    create view inner_view as select id, v from base;
    create view outer_view as select id, v from inner_view where id > 0;
    create table parts (id int, v text) partition by range (id);
    create table part_1 partition of parts for values from (0) to (3000);
    create table later (id int, v text);
    insert into parts select * from base;
    create view over_parts as select id, v from parts;
    create materialized view stored as select id, v from parts;
    create table plain as select * from base;
    create schema first;
    create table u as select * from base; alter table u add primary key (id); analyze;";

const ATTACH: &str = "alter table parts attach partition later for values from (3000) to (4000)";

/// A pair whose target's mapping `t` reads from what these lines define, and its spec. A run starts
/// when the pause file is removed.
fn beneath(reads: &str) -> (Pair, std::path::PathBuf) {
    let pair = Pair::new(&table(2_000), BENEATH);
    let first = "search_path = \"first, public\"\n[pace]\npause_file = \"pause\"\n\
                 [gate]\nclean_runs = 1\n";
    let mapping = "[[mapping]]\nname = \"t\"\nkey = [\"id\"]\nsource.table = \"public.t\"\n";
    let other = MAPPING.replace("public.t", "public.u");
    let spec = pair.spec(&format!("{first}{mapping}{reads}\n{other}"));
    (pair, spec)
}

/// Compares it and makes a change before the first row is read: a view is read in one scan.
fn compare_beneath(reads: &str, happens: &str) -> Outcome {
    let (pair, spec) = beneath(reads);
    let pause = pair.scratch.file("pause", "");
    let mut running = pair.comparing(&spec, &["-vv"]).start();
    running.await_line("throttled");
    pair.sql(Side::Target, happens);
    std::fs::remove_file(pause).unwrap();
    running.finish()
}

/// Rows of a dropped table and of its successor would be combined into one result, only because the
/// spec does not name the table.
#[test]
fn a_change_beneath_a_view_or_query_marks_its_mapping() {
    let view = |name: &str| format!("target.table = \"public.{name}\"");
    let query = |query: &str| format!("target.query = \"{query}\"");
    for (reads, happens, reason) in [
        (
            view("outer_view"),
            "begin; create table fresh as select * from base;
             create or replace view inner_view as select id, v from fresh;
             drop table base; alter table fresh rename to base; commit",
            "the target has changed under way: \"public.base\" was dropped and made again",
        ),
        (
            view("outer_view"),
            "create or replace view inner_view as select id, v from base where id <> 7",
            "the view \"public.inner_view\" was redefined",
        ),
        (
            view("outer_view"),
            "create or replace view outer_view as select id, v from u",
            "\"public.base\" is not read any more",
        ),
        (
            view("over_parts"),
            ATTACH,
            "partitions of \"public.parts\" were attached or detached: there were 1 and are 2",
        ),
        (
            query("select id, v from public.plain"),
            "begin; alter table plain rename to old; create table plain as select * from old;
             grant select on plain to reader; commit",
            "\"public.plain\" was dropped and made again",
        ),
        (
            query("select id, v::text as v from public.plain"),
            "alter table plain alter column v type varchar(40)",
            "column \"v\" of \"public.plain\" was text and is character varying(40)",
        ),
        (
            query("select id, v from plain"),
            "begin; create table first.plain as select * from public.plain;
             grant usage on schema first to reader; grant select on first.plain to reader; commit",
            "\"public.plain\" is not read any more",
        ),
        (
            query(
                "select id, (select p.v from public.over_parts p where p.id = b.id) as v from public.plain b",
            ),
            ATTACH,
            "partitions of \"public.parts\" were attached or detached: there were 1 and are 2",
        ),
    ] {
        marked(&compare_beneath(&reads, happens), reason);
    }
}

/// A replaced table beneath a view would be missed. For a table itself it is refused. What a query
/// reads is what its own connection has locked, behind a pooler too.
#[test]
fn resume_and_gate_refuse_tables_that_were_replaced() {
    for (reads, happens, reason) in [
        (
            "target.table = \"public.outer_view\"",
            "create table fresh as select * from base;
             create or replace view inner_view as select id, v from fresh;
             drop table base; alter table fresh rename to base",
            "\"public.base\" was dropped and made again",
        ),
        (
            "target.table = \"public.over_parts\"",
            ATTACH,
            "partitions of \"public.parts\" were attached or detached: there were 1 and are 2",
        ),
        (
            "target.query = \"select id, v from public.plain\"",
            "create table fresh as select * from plain; drop table plain;
             alter table fresh rename to plain; grant select on plain to reader",
            "\"public.plain\" was dropped and made again",
        ),
    ] {
        let (pair, spec) = beneath(reads);
        let bouncer = Bouncer::start(pair.clusters, &pair.database, 4);
        let ledger = pair.scratch.path().join("l.db");
        let remembered = |program: Program| {
            let program = program.env("TARGET_URL", &bouncer.url(Side::Target));
            program.args(&["--ledger", ledger.to_str().unwrap()])
        };
        let comparing = |flags: &[&str]| remembered(pair.comparing(&spec, flags)).arg("-vv");
        let gate = || remembered(pair.program().args(&["gate", spec.to_str().unwrap()])).run();
        comparing(&[]).run().exits(0);
        gate().exits(0);
        let pause = pair.scratch.file("pause", "");
        let mut interrupted = comparing(&[]).start();
        interrupted.await_line("throttled");
        interrupted.signal("INT");
        interrupted.finish().exits(3);
        std::fs::remove_file(pause).unwrap();
        pair.sql(Side::Target, happens);
        let told = refused(&comparing(&["--resume"]).run());
        let said = format!(" cannot be resumed: the target of \"t\" is not what it was: {reason}");
        assert!(told[0].headline.contains(&said), "{told:?}");
        let closed = gate();
        let said = "  the target of mapping \"t\" is not what run ";
        let told = closed.exits(1).stdout.lines().find(|line| line.starts_with(said));
        assert!(told.is_some_and(|line| line.ends_with(reason)), "{closed:?}");
        // The current table can be compared.
        comparing(&[]).run().exits(0);
        gate().exits(0);
    }
}

/// A night's run would be lost because of a change that affects no row that is read.
#[test]
fn a_change_beneath_a_view_that_is_not_read_is_ignored() {
    for (reads, happens) in [
        ("target.table = \"public.outer_view\"", "alter table base add column w int"),
        ("target.query = \"select id, v from public.base\"", "alter table base add column w int"),
        (
            "target.table = \"public.outer_view\"",
            "create or replace view inner_view as select id, v from base; vacuum full base",
        ),
        ("target.table = \"public.outer_view\"", "alter table base rename to renamed"),
        ("target.table = \"public.stored\"", ATTACH),
        ("target.query = \"select id, v from public.stored\"", ATTACH),
    ] {
        let outcome = compare_beneath(reads, happens);
        assert_eq!(outcome.balances().exits(0).records("mapping").len(), 2, "{reads}");
    }
}
