//! Redacted keys in the ledger: their bounds are encrypted under PGRECONCILE_REDACT_KEY or not
//! stored, whatever is killed, resumed or sliced. The raw files of both stores are searched, with
//! free pages, journals, write-ahead log and the ledger server's log of every statement and its
//! parameters.

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::report::json;
use crate::support::{Cluster, Outcome, Pair, Program, Settings, fault, refused};

/// A key of each type shows as one of these, in binary or as text.
const CANARIES: [&str; 4] = ["CANAR", "4846240716488", "43414e4152", "43414e41-52"];

/// Keys whose bytes begin with "CANARY": numbers in ranges and in shards, uuids in buckets, texts.
const TABLES: &str = "
    create table i (id bigint primary key, n int);
    create table u (id uuid primary key, n int);
    create table k (id text collate \"C\" primary key, n int);
    insert into i select 4846240716488769536 + n, n from generate_series(1, 110000) n;
    insert into u select overlay(md5(n::text) placing '43414e415259' from 1)::uuid, n
        from generate_series(1, 60000) n;
    insert into k select 'CANARY' || n, n from generate_series(1, 3000) n;";

/// A one-sided range, rows that differ, rows that are missing.
const DIVERGE: &str = "
    delete from i where n between 20000 and 35000;
    update i set n = -n where n in (7, 54321);
    update u set n = -n where n in (7, 54321);
    delete from k where n % 1000 = 0;";

const KEY: &str = "a secret of sufficient length";
const OTHER_KEY: &str = "another secret of that length";

fn pair(diverge: &str) -> Pair {
    Pair::new(
        &format!("{TABLES} analyze i; analyze u; analyze k"),
        &format!("{TABLES} {diverge} analyze i; analyze u; analyze k"),
    )
}

/// A spec of these tables, whose reading takes some time.
fn spec(pair: &Pair, tables: &[&str], redact: bool) -> String {
    let slow = "where = \"n % 2000 <> 0 or pg_sleep(0.015) is not null\"";
    let mapping = |table: &&str| {
        format!(
            "[[mapping]]\nkey = [\"id\"]\n[mapping.source]\ntable = \"public.{table}\"\n{slow}\n\
             [mapping.target]\ntable = \"public.{table}\"\n{slow}\n\
             [mapping.columns]\nid = {{ from = \"id\", redact = {redact} }}\n"
        )
    };
    let mappings: String = tables.iter().map(mapping).collect();
    let path = pair.spec(&format!("[gate]\nclean_runs = 1\n{mappings}"));
    path.to_str().unwrap().to_owned()
}

/// A comparison with this ledger, under a secret or, if that is empty, without one.
fn comparing(pair: &Pair, ledger: &str, secret: &str, flags: &[&str]) -> Program {
    let how = ["--settle", "0s", "--format", "jsonl", "--progress", "never", "--jobs", "1", "-vv"];
    let program = pair.program().args(&["compare", "spec.toml"]).args(&how).args(flags);
    program.env("PGRECONCILE_LEDGER", ledger).env("PGRECONCILE_REDACT_KEY", secret)
}

/// Ends a comparison after a chunk for which this holds.
fn end(program: Program, enough: impl Fn(u64) -> bool, signal: &str) -> Outcome {
    let mut run = program.args(&["--chunk-rows", "2000"]).start();
    let mut chunks = 0;
    while chunks == 0 || !enough(chunks) {
        run.await_line("chunk finished");
        chunks += 1;
    }
    run.signal(signal);
    run.finish()
}

fn kill(program: Program, enough: impl Fn(u64) -> bool) {
    assert_eq!(end(program, enough, "KILL").code, -1);
}

/// Returns the files of a folder in which a key of the tables shows.
fn leaks(folder: &Path) -> Vec<String> {
    let mut grep = Command::new("grep");
    grep.args(["-rlasF"]).args(CANARIES.iter().flat_map(|canary| ["-e", canary])).arg(folder);
    let found = String::from_utf8(grep.env("LC_ALL", "C").output().expect("grep").stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}

/// The output of a run without times.
fn essence(outcome: &Outcome) -> (Vec<String>, Vec<String>) {
    let mut mappings = outcome.balances().records("mapping");
    mappings.iter_mut().for_each(|mapping| mapping["elapsed_ms"] = Value::Null);
    let mut mappings: Vec<String> = mappings.iter().map(Value::to_string).collect();
    mappings.sort();
    (outcome.findings(), mappings)
}

/// A ledger whose files are searched.
struct Searched<'l> {
    /// Its path or URL.
    ledger: &'l str,
    /// Counts the rows of a table.
    count: &'l dyn Fn(&str) -> u64,
    /// Lists the files in which a key shows.
    leaks: &'l dyn Fn() -> Vec<String>,
    /// Ends the lease of a killed process, which would otherwise expire half a minute later.
    unlock: &'l dyn Fn(),
    searches: usize,
}

impl Searched<'_> {
    fn shows_no_key(&mut self) {
        assert_eq!((self.leaks)(), [] as [String; 0]);
        self.searches += 1;
    }

    fn is_killed(&mut self, run: Program, enough: impl Fn(u64) -> bool) {
        assert_eq!(end(run, enough, "KILL").code, -1);
        (self.unlock)();
        self.shows_no_key();
    }

    /// Kills and interrupts runs with and without a secret, resumes them, and slices.
    fn withstands_all(&mut self, pair: &Pair) {
        let (ledger, count) = (self.ledger, self.count);
        let whole = comparing(pair, "off", KEY, &[]).run();
        assert_eq!(whole.exits(1).records("mapping").len(), 3);
        self.is_killed(comparing(pair, ledger, KEY, &[]), |_| count("chunk") > 0);
        let first = count("chunk");
        let more = |_| count("chunk") > first;
        self.is_killed(comparing(pair, ledger, KEY, &["--resume"]), more);
        let last = comparing(pair, ledger, KEY, &["--resume"]).run();
        assert_eq!(essence(last.exits(1)), essence(&whole));
        assert!(!last.stderr.contains("from its start"), "{}", last.stderr);
        // Coverage with bounds, then all of it.
        let part = end(comparing(pair, ledger, OTHER_KEY, &[]), |chunks| chunks == 12, "INT");
        assert!(!part.exits(3).records("undecided").is_empty(), "{}", part.stdout);
        assert!(count("coverage") > 3, "{}", count("coverage"));
        self.shows_no_key();
        comparing(pair, ledger, OTHER_KEY, &["--slice"]).run().exits(1);
        self.shows_no_key();
        // Without a secret.
        let before = count("chunk");
        self.is_killed(comparing(pair, ledger, "", &[]), |chunks| chunks == 30);
        assert_eq!(count("chunk"), before);
        let open = comparing(pair, ledger, "", &["--resume"]).run();
        let said = "is compared from its start: its key is redacted, and PGRECONCILE_REDACT_KEY is \
                    not set";
        assert_eq!(open.exits(1).stderr.matches(said).count(), 3, "{}", open.stderr);
        let rows = |outcome: &Outcome| {
            let mappings = outcome.records("mapping");
            mappings.iter().map(|mapping| mapping["rows"].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(rows(&open), rows(&whole));
        self.shows_no_key();
        for outcome in [whole, last, part, open] {
            let told = format!("{}{}", outcome.stdout, outcome.stderr);
            assert!(!CANARIES.iter().any(|canary| told.contains(canary)), "{told}");
        }
    }
}

#[test]
fn no_file_of_a_ledger_shows_a_redacted_key() {
    let pair = pair(DIVERGE);
    let folder = pair.scratch.path().join("ledgers");
    std::fs::create_dir(&folder).unwrap();
    // The search finds a key that is there.
    spec(&pair, &["i", "u", "k"], false);
    kill(comparing(&pair, "ledgers/plain.db", KEY, &[]), |_| !leaks(&folder).is_empty());
    std::fs::remove_file(folder.join("plain.db")).unwrap();
    spec(&pair, &["i", "u", "k"], true);
    let count = |table: &str| {
        let file = Connection::open(folder.join("test.db")).unwrap();
        file.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        let sql = format!("select count(*) from {table}");
        file.query_row(&sql, (), |row| row.get::<_, i64>(0)).unwrap() as u64
    };
    let (ledger, leaks) = ("ledgers/test.db", || leaks(&folder));
    let mut file = Searched { ledger, count: &count, leaks: &leaks, unlock: &|| (), searches: 0 };
    file.withstands_all(&pair);
    fault::KEY_REDACTED.tried(file.searches);
}

/// Keys would be found in dead rows and the write-ahead log: there are none, because none was ever
/// sent.
#[test]
fn no_file_of_a_ledgers_server_shows_a_redacted_key() {
    let pair = pair(DIVERGE);
    spec(&pair, &["i", "u", "k"], true);
    let keeper = Cluster::start(Settings("log_statement = 'all'\nfull_page_writes = on"));
    let ledger = keeper.url("postgres", "postgres");
    let sql = |sql: &str| keeper.sql("postgres", sql);
    let count =
        |table: &str| sql(&format!("select count(*) from pgreconcile.{table}")).parse().unwrap();
    let leaks = || {
        sql("checkpoint");
        leaks(keeper.socket())
    };
    let unlock = || drop(sql("delete from pgreconcile.lease"));
    let mut server =
        Searched { ledger: &ledger, count: &count, leaks: &leaks, unlock: &unlock, searches: 0 };
    server.withstands_all(&pair);
    // Many processes, one after the other.
    let shares = ["--run-id", "shared"];
    end(comparing(&pair, &ledger, KEY, &shares), |chunks| chunks == 5, "INT").exits(3);
    let with = |secret: &str| refused(&comparing(&pair, &ledger, secret, &shares).run());
    assert!(with(OTHER_KEY)[0].headline.contains("started with another PGRECONCILE_REDACT_KEY"));
    let whole = comparing(&pair, "off", KEY, &[]).run();
    let last = comparing(&pair, &ledger, KEY, &shares).run();
    assert_eq!(last.exits(1).findings(), whole.findings());
    assert!(count("shard") == 0 && keeper.log().contains("insert into shard"));
    server.shows_no_key();
    fault::KEY_REDACTED.tried(server.searches);
}

/// Keys that an older program has written in plain text would remain in the tables' files.
#[test]
fn plain_bounds_of_an_older_version_leave_a_servers_tables() {
    let pair = Pair::new("select", "select");
    spec(&pair, &["i"], true);
    let keeper = Cluster::start(Settings(""));
    let sql = |sql: &str| keeper.sql("postgres", sql);
    sql("create schema pgreconcile");
    sql(include_str!("../../src/ledger/statements/shared_schema_1.sql"));
    sql(include_str!("../../src/ledger/statements/shared_schema_2.sql"));
    sql("set search_path = pgreconcile;
         insert into version values (2);
         insert into coverage values ('s', 'whole', 0, '\\x0000026964', 1, 'then');
         insert into coverage select 's', 'parts', n, convert_to(E'\\x01CANARY' || n, 'utf8'), 1, ''
             from generate_series(1, 500) n;
         insert into chunk select n, 't', n, convert_to('CANARY' || n, 'utf8'), 1, 1, 'dirty',
             convert_to(repeat('CANARY' || n, 500), 'utf8') from generate_series(1, 500) n;
         insert into ruling select n, 't', '\\x00', convert_to('CANARY' || n, 'utf8')
             from generate_series(1, 500) n;
         delete from chunk where run > 10; checkpoint");
    let data = keeper.socket().join("data/base");
    assert!(!leaks(&data).is_empty());
    let history = pair.program().env("PGRECONCILE_LEDGER", &keeper.url("postgres", "postgres"));
    history.args(&["history", "spec.toml"]).run().exits(0);
    sql("checkpoint");
    assert_eq!(leaks(&data), [] as [String; 0]);
    assert_eq!(sql("select mapping, rows from pgreconcile.coverage"), "whole|1");
}

#[test]
fn a_gate_needs_the_secret_and_history_does_not() {
    let pair = pair("");
    spec(&pair, &["i", "k"], true);
    let compare = |secret: &str| comparing(&pair, "ledger.db", secret, &[]).run();
    let asked = |verb: &str, secret: &str, flags: &[&str]| {
        let program = pair.program().env("PGRECONCILE_LEDGER", "./ledger.db");
        program.env("PGRECONCILE_REDACT_KEY", secret).args(&[verb, "spec.toml"]).args(flags).run()
    };
    let closed_by = |secret: &str, words: &str| {
        let told = json(&asked("gate", secret, &["--format", "json"]).exits(1).stdout);
        let reasons = told["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 2, "{told}");
        for (reason, mapping) in reasons.iter().zip(["i", "k"]) {
            assert_eq!(
                (&reason["condition"], &reason["mapping"]),
                (&"coverage".into(), &mapping.into())
            );
            let message = reason["message"].as_str().unwrap();
            assert!(
                message.contains(words) && message.contains("PGRECONCILE_REDACT_KEY"),
                "{told}"
            );
        }
    };
    compare(KEY).exits(0);
    asked("gate", KEY, &[]).exits(0);
    closed_by("", "is not set");
    closed_by(OTHER_KEY, "under another");
    for secret in ["", OTHER_KEY] {
        let history = json(&asked("history", secret, &["--format", "json"]).exits(0).stdout);
        let shares = history["verified"].as_array().unwrap().iter().map(|part| &part["share"]);
        assert_eq!(shares.collect::<Vec<_>>(), [1.0, 1.0]);
        asked("report", secret, &[]).exits(0);
    }
    // Ranges that another secret encrypted count as unverified, and are read again.
    comparing(&pair, "ledger.db", OTHER_KEY, &["--slice"]).run().exits(0);
    asked("gate", OTHER_KEY, &[]).exits(0);
    closed_by(KEY, "under another");
    // Complete runs have no bounds, so they need no secret.
    compare("").exits(0);
    asked("gate", "", &[]).exits(0);
}

/// A run would start that can neither store nor read its progress.
#[test]
fn what_needs_stored_bounds_is_refused_without_a_secret() {
    let pair = Pair::new(TABLES, TABLES);
    spec(&pair, &["k"], true);
    for flags in [&["--slice"][..], &["--run-id", "r"]] {
        let outcome = comparing(&pair, "./ledger.db", "", flags).run();
        let told = refused(&outcome);
        assert!(told[0].headline.starts_with(flags[0]), "{told:?}");
        for words in ["mapping \"k\"", "key pair \"id\" is redacted", "PGRECONCILE_REDACT_KEY"] {
            assert!(told[0].headline.contains(words), "{told:?}");
        }
        assert!(told[0].hint.contains(flags[0]), "{told:?}");
        assert!(!outcome.stderr.contains("chunk finished"), "{}", outcome.stderr);
    }
    // A key that is not redacted needs no secret.
    spec(&pair, &["k"], false);
    comparing(&pair, "./ledger.db", "", &["--slice"]).run().exits(0);
}

#[test]
fn a_run_under_another_secret_is_compared_from_its_start() {
    let pair = pair(DIVERGE);
    spec(&pair, &["i"], true);
    let whole = comparing(&pair, "off", OTHER_KEY, &[]).run();
    for (first, second, said) in [
        (KEY, OTHER_KEY, "and PGRECONCILE_REDACT_KEY had another value"),
        ("", OTHER_KEY, "and PGRECONCILE_REDACT_KEY was not set"),
        (OTHER_KEY, OTHER_KEY, ""),
    ] {
        kill(comparing(&pair, "./ledger.db", first, &[]), |chunks| chunks == 30);
        let resumed = comparing(&pair, "./ledger.db", second, &["--resume"]).run();
        assert_eq!(essence(resumed.exits(1)), essence(&whole), "{said}");
        let warned = resumed.stderr.contains("mapping \"i\" is compared from its start");
        assert_eq!(warned, !said.is_empty(), "{}", resumed.stderr);
        assert!(resumed.stderr.contains(said), "{}", resumed.stderr);
    }
}

#[test]
fn a_short_secret_is_warned_of_and_not_shown() {
    let pair = Pair::new(TABLES, TABLES);
    spec(&pair, &["k"], true);
    for (secret, warned) in [("sesame-open-now", 1), ("sesame-open-now!", 0), ("", 0)] {
        let outcome = comparing(&pair, "off", secret, &[]).run();
        let said = "warning: PGRECONCILE_REDACT_KEY has fewer than 16 bytes";
        assert_eq!(outcome.exits(0).stderr.matches(said).count(), warned, "{}", outcome.stderr);
        assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains("sesame"));
    }
}

/// A PIN could be found by trying all of them against the hash of a row.
#[test]
fn no_hash_of_a_redacted_row_is_stored_without_a_secret() {
    let tables = "
        create table r (id int primary key, n int, pin int);
        create table b (id uuid primary key, n int, pin int);
        insert into r select n, n, n % 10000 from generate_series(1, 60000) n;
        insert into b select md5(n::text)::uuid, n, n % 10000 from generate_series(1, 60000) n;";
    let diverge =
        "update r set pin = -1 where n % 9000 = 7; update b set pin = -1 where n % 9000 = 7;";
    let pair = Pair::new(
        &format!("{tables} analyze r; analyze b"),
        &format!("{tables} {diverge} analyze r; analyze b"),
    );
    let slow = "where = \"n % 2000 <> 0 or pg_sleep(0.015) is not null\"";
    let mapping = |table: &str| {
        format!(
            "[[mapping]]\nkey = [\"id\"]\n[mapping.source]\ntable = \"public.{table}\"\n{slow}\n\
             [mapping.target]\ntable = \"public.{table}\"\n{slow}\n\
             [mapping.columns]\npin = {{ from = \"pin\", redact = true }}\n"
        )
    };
    pair.spec(&format!("{}{}", mapping("r"), mapping("b")));
    let whole = comparing(&pair, "off", KEY, &[]).run();
    assert_eq!(whole.exits(1).findings().len(), 14);
    for (secret, resumed_with) in [("", ""), ("", KEY), (KEY, KEY), (KEY, ""), (KEY, OTHER_KEY)] {
        let file = pair.scratch.path().join("pins.db");
        let _ = std::fs::remove_file(&file);
        let count = |what: &str| {
            let file = Connection::open(&file).unwrap();
            file.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
            let sql = format!("select count(*) from {what}");
            file.query_row(&sql, (), |row| row.get::<_, i64>(0)).unwrap()
        };
        let enough = |_| count("chunk where state = 'dirty' and mapping = 'r'") > 0;
        kill(comparing(&pair, "./pins.db", secret, &[]), enough);
        let plain =
            count("chunk where state = 'dirty' and substr(outcome, 1, 1) not in (x'', x'e1')")
                + count("pass where substr(state, 1, 1) <> x'e1'");
        assert_eq!(plain, 0, "{secret}");
        assert_eq!(count("chunk where length(outcome) > 0") > 0, !secret.is_empty());
        let resumed = comparing(&pair, "./pins.db", resumed_with, &["--resume"]).run();
        let pins = |outcome: &Outcome| {
            let findings = outcome.records("finding");
            let place = |finding: &Value| format!("{} {}", finding["mapping"], finding["key"]);
            let mut places: Vec<_> = findings.iter().map(place).collect();
            places.sort();
            (places, essence(outcome).1)
        };
        assert_eq!(pins(resumed.exits(1)), pins(&whole), "{secret} {resumed_with}");
        assert!(resumed.stderr.contains("resuming run "), "{}", resumed.stderr);
        assert!(!resumed.stderr.contains("from its start"), "{}", resumed.stderr);
    }
    let shared = comparing(&pair, "./pins.db", "", &["--run-id", "x"]).run();
    let told = refused(&shared);
    assert!(
        told[0].headline.starts_with("--run-id stores hashes of rows of mapping \"b\""),
        "{told:?}"
    );
}
