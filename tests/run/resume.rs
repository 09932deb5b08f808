//! An interrupted run is resumed: nothing is read twice, nothing is lost, and the report is that of
//! an uninterrupted run.

use std::path::{Path, PathBuf};

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::report::in_shell;
use crate::support::{MAPPING, Outcome, Pair, Program, refused};

/// Chunks of 500 rows that take some 40 ms each, one after the other.
const SLOWLY: &[&str] = &["--chunk-rows", "500", "--jobs", "1", "-vv"];
const SLOW: &str = "where = \"v % 500 <> 0 or pg_sleep(0.04) is not null\"\n";

fn comparing(pair: &Pair, spec: &Path, flags: &[&str]) -> Program {
    pair.comparing(spec, flags).without("PGRECONCILE_LEDGER")
}

/// 20,000 keys of a type on each side. The target lacks 11,000 consecutive ones and some more, has
/// some of its own, and some other values.
fn pair(key: &str) -> Pair {
    let key_of = |n: &str| match key {
        "uuid" => format!("md5(({n})::text)::uuid"),
        "text" => format!("'k' || lpad(({n})::text, 6, '0')"),
        _ => n.to_owned(),
    };
    let table = format!("create table t (id {key} primary key, v int, w text); ");
    let fill = |filter: &str, value: &str| {
        let id = key_of("n");
        format!("insert into t select {id}, n, {value} from generate_series(1, 20000) n {filter};")
    };
    let source = format!("{table}{}", fill("", "'w'"));
    let lacks = "where n not between 4000 and 14999 and n % 1777 <> 0";
    let own = format!(
        "insert into t values ({}, 1, 'own'), ({}, 2, 'own')",
        key_of("-5"),
        key_of("30000")
    );
    let target =
        format!("{table}{}{own}", fill(lacks, "case when n % 999 = 0 then 'x' else 'w' end"));
    let pair = Pair::new(&source, &target);
    for side in Side::BOTH {
        pair.sql(side, "analyze t");
    }
    pair
}

fn spec(pair: &Pair) -> PathBuf {
    pair.spec(&format!(
        "{}{SLOW}",
        MAPPING.replacen("public.t\"\n", &format!("public.t\"\n{SLOW}"), 1)
    ))
}

/// The output of a run without times and durations.
fn essence(outcome: &Outcome) -> (Vec<String>, Value) {
    let mut mapping = outcome.balances().mapping();
    mapping["elapsed_ms"] = Value::Null;
    (outcome.findings(), mapping)
}

fn lines(outcome: &Outcome, words: &str) -> usize {
    outcome.stderr.lines().filter(|line| line.contains(words)).count()
}

/// Returns the number behind a word of a log line.
fn number(outcome: &Outcome, line: &str, name: &str) -> usize {
    let found = outcome.stderr.lines().find(|known| known.contains(line));
    let found = found.unwrap_or_else(|| panic!("no {line} in {}", outcome.stderr));
    let rest = found.split_once(&format!("{name}=")).unwrap().1;
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_run_that_a_signal_ended_resumes_without_reading_twice() {
    for key in ["int", "text"] {
        let pair = pair(key);
        let spec = spec(&pair);
        let whole = comparing(&pair, &spec, &[SLOWLY, &["--ledger", "whole.db"]].concat()).run();
        let chunks = lines(whole.exits(1), "chunk finished");
        for signals in [&["INT"][..], &["TERM", "TERM"]] {
            let mut first = comparing(&pair, &spec, SLOWLY).start();
            first.await_line("chunk=12 ");
            signals.iter().for_each(|signal| first.signal(signal));
            let first = first.finish();
            let before = lines(first.exits(3), "chunk finished");
            let second = comparing(&pair, &spec, &[SLOWLY, &["--resume"]].concat()).run();
            assert_eq!(essence(second.exits(1)), essence(&whole), "{key} {signals:?}");
            assert_eq!(number(&second, "mapping resumed", "chunks"), before);
            assert_eq!(lines(&second, "chunk finished"), chunks - before);
            let run = |outcome: &Outcome| outcome.records("run").remove(0);
            assert_eq!(run(&first)["run"], run(&second)["run"]);
            assert_eq!(run(&first)["started_at"], run(&second)["started_at"]);
            assert_eq!(run(&second)["resumed_at"].as_array().unwrap().len(), 1);
        }
        // It is complete, so there is nothing to resume.
        let third = comparing(&pair, &spec, &["--resume"]).run();
        assert!(third.exits(1).stderr.contains("no run was interrupted; a new one starts"));
        assert_eq!(essence(&third), essence(&whole));
    }
}

/// An operator who followed the last line would lose what was compared.
#[test]
fn an_interrupted_run_says_how_to_resume_if_a_ledger_has_it() {
    let pair = pair("int");
    let spec = spec(&pair);
    let folder = pair.scratch.path().join("no folder.db");
    std::fs::create_dir(&folder).unwrap();
    let interrupted = |flags: &[&str]| {
        let called = pair.program().without("PGRECONCILE_LEDGER");
        let called = called.args(&["compare", spec.to_str().unwrap(), "--progress", "never"]);
        let mut running = called.args(SLOWLY).args(flags).start();
        (0..3).for_each(|_| running.await_line("chunk finished"));
        running.signal("INT");
        let outcome = running.finish();
        let last = outcome.exits(3).stdout.lines().last().unwrap().to_owned();
        last.strip_prefix("next: pgreconcile compare ").unwrap().to_owned()
    };
    let path = spec.display();
    for (flags, next) in [
        (&[][..], format!("{path} --resume")),
        (
            &["--ledger", "a.db", "--sample", "7%", "--strategy", "stream", "--mapping", "t"],
            format!("{path} --mapping t --strategy stream --sample 7% --ledger a.db --resume"),
        ),
    ] {
        let said = interrupted(flags);
        assert_eq!(said, next);
        let words: Vec<_> = said.split(' ').collect();
        let followed = pair.program().without("PGRECONCILE_LEDGER").arg("compare");
        let followed = followed.args(&words).run();
        assert!(followed.exits(1).stderr.contains(": resuming run "), "{followed:?}");
    }
    // A run without a ledger cannot be resumed, nor one whose result holds only for its moment.
    for flags in [&["--ledger", "off"][..], &["--ledger", folder.to_str().unwrap()], &["--slice"]] {
        assert_eq!(interrupted(flags), path.to_string());
    }
}

#[test]
fn a_killed_run_resumes_from_the_ledger() {
    for key in ["int", "uuid"] {
        let pair = pair(key);
        let spec = spec(&pair);
        let whole = comparing(&pair, &spec, &[SLOWLY, &["--ledger", "whole.db"]].concat()).run();
        let chunks = lines(whole.exits(1), "chunk finished");
        let mut kept = 0;
        for round in 1..=2 {
            let flags = if round == 1 { SLOWLY.to_vec() } else { [SLOWLY, &["--resume"]].concat() };
            let mut run = comparing(&pair, &spec, &flags).start();
            // Long enough for several writes to the ledger.
            (0..15).for_each(|_| run.await_line("chunk finished"));
            run.signal("KILL");
            let run = run.finish();
            if round == 2 {
                kept = number(&run, "mapping resumed", "chunks");
            }
        }
        let last = comparing(&pair, &spec, &[SLOWLY, &["--resume"]].concat()).run();
        assert_eq!(essence(last.exits(1)), essence(&whole), "{key}");
        if key == "int" {
            let more = number(&last, "mapping resumed", "chunks");
            assert!(more > kept, "{more} {kept}");
            assert_eq!(lines(&last, "chunk finished"), chunks - more);
        } else {
            assert!(lines(&last, "chunk finished") < chunks, "{}", last.stderr);
        }
    }
}

/// A limit on the size of files simulates a full disk. The size of the ledger before chunks are
/// written is not known, so the test tries increasing limits.
#[test]
fn a_run_whose_ledger_was_full_resumes_where_it_last_wrote() {
    let pair = pair("int");
    let spec = pair.spec(MAPPING);
    let flags = ["--chunk-rows", "50", "-vv"];
    let whole = comparing(&pair, &spec, &[&flags[..], &["--ledger", "whole.db"]].concat()).run();
    let chunks = lines(whole.exits(1), "chunk finished");
    let mut went_on = 0;
    for blocks in (80..800).step_by(40) {
        let ledger = format!("l{blocks}.db");
        let full = in_shell(
            &pair,
            &format!(
                "ulimit -f {blocks}; trap '' XFSZ; exec \"$BIN\" compare spec.toml --settle 0s \
                 --ledger {ledger} --chunk-rows 50 --format jsonl --progress never"
            ),
        );
        // It has reported what it found.
        assert_eq!(essence(full.exits(1)), essence(&whole), "{blocks}");
        if full.stderr.is_empty() {
            break;
        }
        let resumed = [&flags[..], &["--ledger", &ledger, "--resume"]].concat();
        let second = comparing(&pair, &spec, &resumed).run();
        assert_eq!(essence(second.exits(1)), essence(&whole), "{blocks}");
        went_on += usize::from(lines(&second, "chunk finished") < chunks);
    }
    assert!(went_on > 0);
}

#[test]
fn a_deadline_is_kept_again_and_again_until_all_is_compared() {
    let pair = pair("int");
    let spec = spec(&pair);
    let whole = comparing(&pair, &spec, &["--ledger", "whole.db"]).run();
    let mut rounds = 0;
    let last = loop {
        // On a busy machine planning alone may take that long, so the time grows until some is
        // left.
        let deadline = format!("{}ms", 1_500 << (rounds / 6));
        let flags = [SLOWLY, &["--deadline", &deadline, "--resume"]].concat();
        let outcome = comparing(&pair, &spec, &flags).run();
        rounds += 1;
        if outcome.code != 3 {
            break outcome;
        }
        assert!(rounds < 30, "{}", outcome.stderr);
    };
    assert!(rounds > 2);
    assert_eq!(essence(last.exits(1)), essence(&whole));
    assert_eq!(last.records("run")[0]["resumed_at"].as_array().unwrap().len(), rounds - 1);
    // The ledger has one run, and reports all of it.
    let history = pair.program().without("PGRECONCILE_LEDGER");
    let history = history.args(&["history", "spec.toml", "--format", "json"]).run();
    let history: Value = serde_json::from_str(&history.exits(0).stdout).unwrap();
    assert_eq!(history["runs"].as_array().unwrap().len(), 1);
    let told = pair.program().without("PGRECONCILE_LEDGER");
    let told = told.args(&["report", "spec.toml", "--format", "jsonl"]).run();
    assert_eq!(told.exits(0).findings(), whole.findings());
    assert!(told.records("finding").iter().all(|finding| finding["runs"] == 1));
}

/// A resumed run would report differences that are gone, or miss newer ones.
#[test]
fn a_resumed_run_drops_what_healed_and_adds_what_is_new() {
    let pair = pair("int");
    let spec = spec(&pair);
    let mut first = comparing(&pair, &spec, SLOWLY).start();
    first.await_line("chunk=12 ");
    first.signal("INT");
    let first = first.finish();
    let seen = first.findings();
    pair.sql(
        Side::Target,
        "update t set w = 'w' where id = 999; update t set w = 'y' where id = 19980",
    );
    let second = comparing(&pair, &spec, &["--resume"]).run();
    let told = second.exits(1).findings();
    assert!(seen.is_empty() || seen.iter().any(|line| line.contains("\"999\"")), "{seen:?}");
    assert!(!told.iter().any(|line| line.contains("\"999\"")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("\"w\" | \"y\"")), "{told:?}");
}

#[test]
fn a_sample_is_resumed_as_the_same_sample() {
    let pair = pair("int");
    let sample = &["--sample", "20%", "--jobs", "1", "-vv"];
    let slow = "where = \"v % 25 <> 0 or pg_sleep(0.02) is not null\"\n";
    let spec = pair.spec(&MAPPING.replace("public.t\"\n", &format!("public.t\"\n{slow}")));
    let whole = comparing(&pair, &spec, &[&sample[..], &["--ledger", "whole.db"]].concat()).run();
    let mut first = comparing(&pair, &spec, sample).start();
    (0..8).for_each(|_| first.await_line("chunk finished"));
    first.signal("INT");
    first.finish().exits(3);
    let second = comparing(&pair, &spec, &[&sample[..], &["--resume"]].concat()).run();
    assert!(number(&second, "mapping resumed", "chunks") > 8);
    assert_eq!(essence(&second), essence(&whole));
}

#[test]
fn a_run_with_other_arguments_is_not_resumed() {
    let pair = pair("int");
    let params = "[params]\nlow = { type = \"int\" }\n";
    let mapping = MAPPING.replace(
        "public.t\"\n",
        "public.t\"\nwhere = \"v > :low and pg_sleep(0.001) is not null\"\n",
    );
    let text = format!(
        "{params}{mapping}\n{}",
        MAPPING.replacen("[[mapping]]", "[[mapping]]\nname = \"u\"", 1)
    );
    let spec = pair.spec(&text);
    let low = &["--param", "low=0"][..];
    let begin = |pair: &Pair| {
        let mut run = comparing(pair, &spec, &[SLOWLY, low].concat()).start();
        run.await_line("chunk=2 ");
        run.signal("INT");
        run.finish().exits(3);
    };
    let resume = |pair: &Pair, flags: &[&str]| {
        let told = refused(&comparing(pair, &spec, &[flags, &["--resume"]].concat()).run());
        let [problem] = told.as_slice() else { panic!("{told:?}") };
        assert!(problem.headline.contains(" cannot be resumed: "), "{problem:?}");
        assert!(problem.hint.contains("--resume"), "{problem:?}");
        problem.headline.clone()
    };
    begin(&pair);
    assert!(resume(&pair, &["--param", "low=1"]).contains("--param"));
    assert!(resume(&pair, &[low, &["--mapping", "u"]].concat()).contains("--mapping"));
    assert!(resume(&pair, &[low, &["--sample", "5%"]].concat()).contains("--sample"));
    pair.spec(&format!("{text}# changed\n"));
    assert!(resume(&pair, low).contains("the spec has changed"));
    pair.spec(&text);
    assert!(resume(&pair, &[low, &["--strategy", "stream"]].concat()).contains("--strategy"));
    for (change, said) in [
        ("alter table t alter column w type varchar(9)", "column \"w\" was text and is"),
        (
            "alter table t alter column w type text; alter table t rename to old; create table t (like old including all); insert into t table old; drop table old",
            "was dropped and made again",
        ),
    ] {
        pair.sql(Side::Target, change);
        pair.grant(Side::Target);
        assert!(resume(&pair, low).contains(said), "{}", resume(&pair, low));
        begin(&pair);
    }
    // Another database under the same spec.
    let other = Pair::new("select", "create table t (id int primary key, v int, w text)");
    let elsewhere = comparing(&pair, &spec, &[low, &["--resume"]].concat())
        .env("TARGET_URL", &other.url(Side::Target));
    let told = refused(&elsewhere.run());
    assert!(told[0].headline.contains("database \""), "{told:?}");
    // A run that is not in the ledger, and no ledger at all.
    let unknown = refused(&comparing(&pair, &spec, &[low, &["--resume=01J"]].concat()).run());
    assert!(unknown[0].headline.contains("no run 01J of this spec was interrupted"), "{unknown:?}");
    let none = comparing(&pair, &spec, &[low, &["--resume", "--ledger", "off"]].concat()).run();
    assert!(refused(&none)[0].hint.contains("--resume needs a ledger"));
    // Options that only change how it runs may differ.
    begin(&pair);
    let how = &["--resume", "--jobs", "3", "--chunk-rows", "100"];
    comparing(&pair, &spec, &[low, how].concat()).run().exits(1);
}

/// If the spec names no key, the target's primary key is used: what was compared by the previous
/// key refers to other rows.
#[test]
fn a_run_is_not_resumed_by_another_key() {
    let table = "create table t (id int primary key, v int not null, w text, unique (v));
                 insert into t select n, 20001 - n, 'w' from generate_series(1, 20000) n; analyze t";
    let pair = Pair::new(table, table);
    let spec = spec(&pair);
    let mut run = comparing(&pair, &spec, SLOWLY).start();
    run.await_line("chunk=2 ");
    run.signal("INT");
    run.finish().exits(3);
    pair.sql(
        Side::Target,
        "alter table t drop constraint t_pkey; alter table t drop constraint t_v_key;
         alter table t add primary key (v)",
    );
    let told = refused(&comparing(&pair, &spec, &["--resume"]).run());
    let said = "was compared by the key (id int4) and would be by (v int4)";
    assert!(told[0].headline.contains(said), "{told:?}");
}

/// 60,000 keys in no order. The plan uses buckets for them unless chunks have so many rows.
fn scattered() -> (Pair, PathBuf) {
    let fill = "create table t (id uuid primary key, v int); \
                insert into t select md5((n)::text)::uuid, n from generate_series(1, 60000) n; ";
    let pair = Pair::new(
        &format!("{fill}analyze t"),
        &format!(
            "{fill}delete from t where v % 7777 = 0; update t set v = -v where v % 5000 = 0; analyze t"
        ),
    );
    let slow = "where = \"v % 1000 <> 0 or pg_sleep(0.03) is not null\"\n";
    let mapping = MAPPING.replace("public.t\"\n", &format!("public.t\"\n{slow}"));
    let spec = pair.spec(&mapping.replace("[[mapping]]\n", "[[mapping]]\nkey = [\"id\"]\n"));
    (pair, spec)
}

const BUCKETS: &[&str] = &["--jobs", "1", "-vv"];
const RANGES: &[&str] = &["--chunk-rows", "2000", "--jobs", "1", "-vv"];

/// Starts a run, and ends it when so many chunks were compared or, with buckets, while they are
/// being filled.
fn begin(pair: &Pair, spec: &Path, flags: &[&str], chunks: usize, signal: &str) {
    let mut run = comparing(pair, spec, flags).start();
    run.await_line("mapping started");
    (0..chunks).for_each(|_| run.await_line("chunk finished"));
    if chunks == 0 {
        pair.sql(
            Side::Source,
            "do $$ begin loop exit when exists (select from pg_stat_activity \
             where datname = current_database() and query like '%pg_sleep(0.03)%' \
             and pid <> pg_backend_pid() and state = 'active' \
             and clock_timestamp() - query_start > interval '0.2 s'); \
             perform pg_sleep(0.01); commit; end loop; end $$",
        );
    }
    run.signal(signal);
    let _ = run.finish();
}

/// A resumed run that partitions rows otherwise would leave some of them out.
#[test]
fn a_resumed_run_keeps_its_way_of_partitioning_rows() {
    let (pair, spec) = scattered();
    let whole = comparing(&pair, &spec, &["--ledger", "whole.db"]).run();
    for signal in ["INT", "KILL"] {
        for (flags, chunks, then) in
            [(RANGES, 6, BUCKETS), (RANGES, 1, BUCKETS), (BUCKETS, 0, RANGES)]
        {
            begin(&pair, &spec, flags, chunks, signal);
            let second = comparing(&pair, &spec, &[then, &["--resume"]].concat()).run();
            assert!(second.exits(1).stderr.contains(": resuming run "), "{}", second.stderr);
            assert_eq!(essence(&second), essence(&whole), "{signal} {flags:?} {chunks}");
            if flags == BUCKETS {
                // A table scan has only a few block ranges; with key ranges there would be thirty.
                assert!(lines(&second, "chunk finished") < 10, "{}", second.stderr);
            }
        }
    }
}

/// Progress would be lost: with buckets it is stored in blocks of the table.
#[test]
fn a_resumed_run_reads_a_rewritten_table_from_the_start() {
    for flags in [BUCKETS, RANGES] {
        let (pair, spec) = scattered();
        begin(&pair, &spec, BUCKETS, 0, "INT");
        pair.sql(Side::Target, "cluster t using t_pkey");
        let told = refused(&comparing(&pair, &spec, &[flags, &["--resume"]].concat()).run());
        assert!(told[0].headline.contains("the table was rewritten"), "{told:?}");
    }
}

/// In another order the rows behind the last chunk are not the unread ones: some would be read
/// twice, and some never.
#[test]
fn a_run_is_not_resumed_in_another_collations_order() {
    let table = "create collation by_number (provider = icu, locale = 'en-u-kn-true'); \
        create collation by_digit (provider = icu, locale = 'en'); \
        create table t (id text collate by_number primary key, v int); \
        insert into t select 'k' || n, n from generate_series(1, 20000) n; analyze t";
    let pair = Pair::new(table, table);
    let slow = "where = \"v % 1000 <> 0 or pg_sleep(0.03) is not null\"\n";
    let spec = pair.spec(&MAPPING.replace("public.t\"\n", &format!("public.t\"\n{slow}")));
    begin(&pair, &spec, RANGES, 2, "INT");
    pair.sql(Side::Target, "update t set v = 0 where id = 'k15000'");
    for side in Side::BOTH {
        pair.sql(side, "alter table t alter id type text collate by_digit; analyze t");
    }
    let told = refused(&comparing(&pair, &spec, &["--resume"]).run());
    let said = "the collation of column \"id\" was \"by_number icu en-u-kn-true\" and is";
    assert!(told[0].headline.contains(said), "{told:?}");
}

/// Duplicate rows would be missed: if nothing proves the key, rows that exist twice on both sides
/// show in no bucket.
#[test]
fn buckets_are_not_resumed_when_no_index_proves_the_key() {
    let (pair, spec) = scattered();
    begin(&pair, &spec, BUCKETS, 0, "INT");
    for side in Side::BOTH {
        pair.sql(side, "alter table t drop constraint t_pkey; create index on t (id)");
    }
    let told = refused(&comparing(&pair, &spec, &["--resume"]).run());
    assert!(told[0].headline.contains("no unique index proves its key any more"), "{told:?}");
}
