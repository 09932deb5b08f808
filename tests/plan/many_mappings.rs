//! Specs of many mappings: each is planned as if it were alone, though one statement queries
//! hundreds.

use std::fmt::Write as _;
use std::path::Path;

use pgreconcile::pg::RELATIONS_AT_ONCE;
use pgreconcile::run::{Options, Trouble, prepare};
use pgreconcile::schema::Side;
use pgreconcile::spec;

use crate::support::{Bouncer, Fate, Pair, Proxy};

/// Relations of every kind, with columns of many types, some of which no role may read.
const RELATIONS: &str = "
    create schema \"S p\"; create schema hidden; create schema other;
    create type mood as enum ('low', 'high'); create domain positive as int check (value > 0);
    create table plain (id int primary key, v varchar(20), at timestamptz not null, t timestamp, m mood,
        p positive, a text[], n numeric(12, 2), c text collate \"C\");
    create index on plain (at);
    insert into plain select n, 'v' || n, timestamptz '2026-01-01 00:00+00' + n * interval '1 min', now(), 'low',
        n, '{}', n, 'c' from generate_series(1, 500) n;
    create table \"S p\".\"T\"\"q\" (\"Id\" bigint primary key, \"V\" text unique);
    create table parent (id int primary key, v text not null);
    create table child (extra int) inherits (parent);
    alter table child alter v drop not null;
    create table parted (id int, k int, primary key (k, id)) partition by list (k);
    create table parted_1 partition of parted for values in (1);
    create table parted_2 partition of parted for values in (2) partition by range (id);
    create table parted_2a partition of parted_2 for values from (0) to (9);
    create view seen as select id, upper(v) as v from plain;
    create view seen_twice as select s.id, p.v from seen s join parent p using (id);
    create materialized view stored as select id, v from plain;
    create unlogged table keyless (a int, b int);
    create table hidden.t (id int primary key);
    create table other.secret (id int primary key, v text);
    create function other.twice(int) returns int language sql immutable as 'select $1 * 2';
    analyze;";

/// Mappings that can be planned. The first line names the mapping.
const GOOD: &[&str] = &[
    "name = \"plain\"\n[mapping.source]\ntable = \"public.plain\"\nchanged_at = \"at\"\n\
     [mapping.target]\ntable = \"public.plain\"\nchanged_at = \"at\"\n",
    "name = \"quoted\"\nsource.table = '\"S p\".\"T\"\"q\"'\ntarget.table = '\"S p\".\"T\"\"q\"'\n",
    "name = \"with children\"\nkey = [\"id\"]\nsource.table = \"public.parent\"\ntarget.table = \"public.parent\"\n",
    "name = \"without children\"\n[mapping.source]\ntable = \"public.parent\"\nonly = true\n\
     [mapping.target]\ntable = \"public.parent\"\nonly = true\n",
    "name = \"partitioned\"\nsource.table = \"public.parted\"\ntarget.table = \"public.parted\"\n",
    "name = \"view\"\nkey = [\"id\"]\nsource.table = \"public.seen_twice\"\ntarget.table = \"public.seen\"\n",
    "name = \"materialized\"\nkey = [\"id\"]\nsource.table = \"public.stored\"\n\
     target.table = \"public.stored\"\n",
    "name = \"keyless\"\nkey = [\"a\", \"b\"]\nsource.table = \"public.keyless\"\n\
     target.table = \"public.keyless\"\n",
    "name = \"query\"\nkey = [\"id\"]\n\
     source.query = \"select s.id, s.v from public.seen s join public.parted p using (id)\"\n\
     target.query = \"select id, v from public.plain where id = any(:ids)\"\n",
    "name = \"zone\"\n[mapping.source]\ntable = \"public.plain\"\nignore = [\"t\"]\n\
     where = \"at::date > '2026-01-02'\"\n\
     [mapping.target]\ntable = \"public.plain\"\n[mapping.columns]\n\
     t = { sql = \"at::timestamp\" }\n[[mapping.accept]]\nwhere = \"source.t < '2024-01-01'\"\n\
     reason = \"old\"\nuntil = \"2999-01-01\"\n",
];

/// Mappings with an error on one side or both.
const BAD: &[&str] = &[
    "name = \"missing\"\nsource.table = \"public.plian\"\ntarget.table = \"public.plain\"\n",
    "name = \"elsewhere\"\nsource.table = \"nowhere.t\"\ntarget.table = \"public.zzzzzzzzzzzz\"\n",
    "name = \"no rows\"\n[mapping.source]\ntable = \"public.parted\"\nonly = true\n\
     [mapping.target]\ntable = \"public.parted\"\n",
    "name = \"no condition\"\n[mapping.source]\ntable = \"public.plain\"\nwhere = \"id + 1\"\n\
     [mapping.target]\ntable = \"public.plain\"\nwhere = \"ident = 1\"\n",
    "name = \"two expressions\"\nsource.table = \"public.plain\"\ntarget.table = \"public.plain\"\n\
     [mapping.columns]\nv = { sql = \"upperr(v)\" }\nn = { sql = \"1 / 0\" }\n\
     m = { sql = \"m\", target_sql = \"nothing\" }\n",
    "name = \"syntax\"\nkey = [\"id\"]\nsource.query = \"selec id from plain\"\n\
     target.query = \"select id, v, v from public.plain\"\n",
    "name = \"several rows\"\nsource.table = \"public.plain\"\ntarget.table = \"public.plain\"\n\
     [mapping.columns]\nv = { sql = \"generate_series(1, 2)\" }\n",
    "name = \"accepts\"\nsource.table = \"public.plain\"\ntarget.table = \"public.plain\"\n\
     [[mapping.accept]]\nwhere = \"source.nothing\"\nreason = \"x\"\nuntil = \"2999-01-01\"\n\
     [[mapping.accept]]\nwhere = \"source.id\"\nreason = \"x\"\nuntil = \"2999-01-01\"\n",
    "name = \"hidden\"\n[mapping.source]\ntable = \"hidden.t\"\nwhere = \"nonsense\"\n\
     [mapping.target]\ntable = \"hidden.t\"\n",
    "name = \"secret\"\nsource.table = \"other.secret\"\ntarget.table = \"other.secret\"\n",
    "name = \"left over\"\nsource.table = \"public.plain\"\ntarget.table = \"public.parent\"\n",
];

fn relations() -> Pair {
    let pair = Pair::new(RELATIONS, RELATIONS);
    for side in Side::BOTH {
        let taken =
            "revoke usage on schema hidden from reader; revoke select on other.secret from reader";
        pair.sql(side, taken);
    }
    pair
}

/// Returns a spec of these mappings, each with its own header.
fn text(urls: [&str; 2], mappings: &[&str]) -> String {
    let [source, target] = urls;
    let mut text = format!(
        "version = 1\nname = \"many\"\n[source]\nurl = \"{source}\"\n[target]\nurl = \"{target}\"\n"
    );
    // Plans name places in the file, which may not depend on the length of the connection strings.
    let _ = writeln!(text, "#{}", ".".repeat(600 - text.len()));
    text.push_str("[params]\nids = { type = \"int[]\", default = \"{1,2}\" }\n");
    for mapping in mappings {
        let _ = write!(text, "[[mapping]]\n{mapping}");
    }
    text
}

/// Returns the result of planning, line by line and in order: plans and warnings, or problems.
#[tokio::main(flavor = "current_thread")]
async fn planned(text: String, relations_at_once: usize) -> Vec<String> {
    let path = Path::new("many.toml").to_owned();
    let read = spec::read(spec::SpecText { path, text }, &Default::default(), &|_| None);
    let spec = read.expect("a sound spec");
    let options = Options { relations_at_once, ..Options::of(&spec.compare) };
    match prepare(spec, &options).await {
        Ok(prepared) => {
            let plans = prepared.plans.iter().map(|plan| {
                let text = format!("{plan:#?}");
                // The server continues to write meanwhile.
                let lines = text.lines().filter(|line| !line.trim().starts_with("flushed: "));
                lines.collect::<Vec<_>>().join("\n")
            });
            let warnings = prepared.warnings.iter();
            plans.chain(warnings.map(|warning| warning.message.to_string())).collect()
        }
        Err(Trouble::Spec(problems)) => {
            let line = |problem: &spec::Diagnostic| {
                let hint = problem.hint.as_deref().unwrap_or_default();
                format!("{:?}: {} ({hint})", problem.severity, problem.message)
            };
            problems.iter().map(line).collect()
        }
        Err(trouble) => panic!("{trouble}"),
    }
}

fn urls(pair: &Pair) -> [String; 2] {
    Side::BOTH.map(|side| pair.url(side))
}

#[test]
fn plans_are_the_same_in_batches_of_any_size() {
    let pair = relations();
    let [source, target] = &urls(&pair);
    let text = text([source, target], GOOD);
    let whole = planned(text.clone(), RELATIONS_AT_ONCE);
    assert!(whole.iter().any(|line| line.contains("is taken in UTC")), "{whole:#?}");
    assert!(whole.len() > GOOD.len(), "{whole:#?}");
    for at_once in [1, 2, 3] {
        let parts = planned(text.clone(), at_once);
        for (whole, part) in whole.iter().zip(&parts) {
            assert_eq!(whole, part, "{at_once} at once");
        }
        assert_eq!(whole.len(), parts.len());
    }
}

/// Returns the problems of every mapping alone; all mappings together have the same problems.
fn of_each_alone(urls: [&str; 2]) -> Vec<String> {
    let alone = BAD.iter().flat_map(|mapping| {
        let problems = planned(text(urls, &[mapping]), RELATIONS_AT_ONCE);
        assert!(problems.iter().all(|problem| problem.starts_with("Error")), "{problems:#?}");
        problems
    });
    let mut alone: Vec<String> = alone.collect();
    alone.sort();
    alone
}

/// Statements that look up hundreds of tables could attribute a problem to a wrong mapping.
#[test]
fn each_problem_names_its_own_mapping_among_hundreds() {
    let pair = relations();
    let [source, target] = &urls(&pair);
    let urls = [source.as_str(), target];
    let alone = of_each_alone(urls);
    let about = [
        "no table \"public.plian\"",
        "Did you mean \"public.plain\"?",
        "Schema \"nowhere\" has no tables here",
        "\"where\" of the source gives integer",
        "column \"ident\" does not exist",
        "function upperr(character varying) does not exist",
        "SQLSTATE 22012",
        "syntax error at or near \"from\"",
        "may not use schema \"hidden\"",
        "other.secret",
    ];
    for words in about {
        assert!(alone.iter().any(|problem| problem.contains(words)), "{words}: {alone:#?}");
    }
    // There are good mappings before, between and after them: when a fragment fails, its neighbours
    // are in progress.
    let mut mappings = GOOD.to_vec();
    for (place, mapping) in BAD.iter().enumerate() {
        mappings.insert(2 * place.min(GOOD.len()), mapping);
    }
    let text = text(urls, &mappings);
    for at_once in [1, 2, RELATIONS_AT_ONCE] {
        let mut together = planned(text.clone(), at_once);
        together.retain(|line| line.starts_with("Error"));
        together.sort();
        assert_eq!(together, alone, "{at_once} at once");
    }
}

#[test]
fn fragments_under_way_together_pass_a_pooler() {
    let pair = relations();
    let bouncer = Bouncer::start(pair.clusters, &pair.database, 2);
    let pooled = Side::BOTH.map(|side| bouncer.url(side));
    let direct = urls(&pair);
    for mappings in [GOOD, BAD] {
        let direct = planned(text([&direct[0], &direct[1]], mappings), RELATIONS_AT_ONCE);
        let pooled = planned(text([&pooled[0], &pooled[1]], mappings), RELATIONS_AT_ONCE);
        assert_eq!(direct, pooled);
    }
}

#[test]
fn statements_do_not_grow_with_the_number_of_mappings() {
    let tables = "do $$ begin for n in 1..80 loop
        execute format('create table t%s (id serial primary key, v text)', n); end loop; end $$;";
    let pair = Pair::new(tables, tables);
    for side in Side::BOTH {
        pair.sql(side, "grant select on all sequences in schema public to reader");
    }
    // Counts the transactions that the program commits, from each server's answers.
    let asked = |mappings: usize, fragments: usize| {
        let mut rest = String::new();
        for n in 1..=mappings {
            let filter = if n <= fragments { "where = \"id > 0\"\n" } else { "" };
            let table = format!("table = \"public.t{n}\"\n{filter}");
            let _ = write!(rest, "[[mapping]]\n[mapping.source]\n{table}[mapping.target]\n{table}");
        }
        let spec = pair.spec(&rest);
        let proxies = Side::BOTH.map(|side| Proxy::start(&pair.clusters[side], |_| Fate::Pass));
        let [source, target] = proxies.each_ref().map(|proxy| proxy.url(&pair.database));
        let program = pair.program().env("SOURCE_URL", &source).env("TARGET_URL", &target);
        program.args(&["check", spec.to_str().unwrap()]).run().exits(0);
        proxies.map(|proxy| {
            (0..proxy.connections())
                .map(|place| proxy.messages_with(place, "COMMIT").len())
                .sum::<usize>()
        })
    };
    let (few, many, filtered) = (asked(10, 0), asked(80, 0), asked(80, 40));
    for side in 0..2 {
        let (few, many, filtered) = (few[side], many[side], filtered[side]);
        assert!(few > 0 && many < few + 20, "{few} transactions, {many} for 70 mappings more");
        let fragments = many + 40..many + 60;
        assert!(fragments.contains(&filtered), "{many} transactions, {filtered} with 40 fragments");
    }
}
