//! The documentation is correct: every block of the README and of the manual's chapters runs, and
//! the names, tables and links in them exist.
//!
//! The shown output is compared with the program's, except for run ids, times, rates and versions.
//! `./tests/run.sh` is not run here, since it runs this test; `.ci/run` does. `cargo install` is
//! not run either: it is the build that the tests use.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::documents::{
    Document, MANUAL, blocks_in, code, documents, masked, rows, section, words,
};
use crate::support::documents::{Words, set};
use crate::support::fault::FAULTS;
use crate::support::quickstart::{Quickstart, repository};
use crate::support::{Pair, Program, cluster};

#[test]
fn documented_specs_and_commands_run_as_shown() {
    let stage = Quickstart::new();
    for block in blocks_in("toml") {
        let name = block.file_name();
        let given = if block.text.contains("since = {") { "since=2026-03-01" } else { "" };
        let given: &[&str] = if given.is_empty() { &[] } else { &["--param", given] };
        let outcome = stage.program("reader").args(&["check", name]).args(given).run();
        let last = outcome.exits(0).stderr.lines().last().unwrap();
        assert!(last.starts_with(&format!("{name}: ok, 1 mapping; ")), "{}", outcome.stderr);
    }
    for block in blocks_in("console") {
        let said = stage.play(&block);
        let commands = block.commands();
        assert_eq!(said.len(), commands.len(), "{said:?}");
        for (command, said) in commands.iter().zip(&said) {
            assert_eq!(masked(said), masked(&command.output), "$ {}", command.line);
        }
    }
}

#[test]
fn scripts_run_from_cron_as_they_stand() {
    let stage = Quickstart::new();
    let home = stage.scratch.path();
    std::os::unix::fs::symlink(home, home.join("reconcile")).unwrap();
    let export = |(name, value): (&str, String)| format!("export {name}='{value}'\n");
    let variables = stage.variables("reader").map(export).concat();
    stage.scratch.file("env", &variables);
    for block in blocks_in("crontab") {
        let line = block.text.trim_end();
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let times = |field: &&str| field.chars().all(|c| c.is_ascii_digit() || c == '*');
        assert!(fields.len() == 6 && fields[..5].iter().all(times), "{line}");
        let output = stage.shell(fields[5]).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(stdout, "the databases differ: 6 findings\n");
        assert_eq!((output.status.code(), output.stderr), (Some(1), Vec::new()));
    }
    // An error leaves the last report unchanged.
    let report = std::fs::read(home.join("findings.jsonl")).unwrap();
    let output = stage.shell("TRACKING_URL= ./nightly.sh 2>/dev/null").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "nothing was compared\n");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read(home.join("findings.jsonl")).unwrap(), report);
}

#[test]
fn workers_share_a_run_as_they_stand() {
    let stage = Quickstart::new();
    stage
        .monolith
        .sql("postgres", "create database ledger; grant create on database ledger to reader");
    let ledger = stage.monolith.url("reader", "ledger");
    let script = "./worker.sh 24 & ./worker.sh 24; first=$?; wait $!; echo $first $?";
    let output = stage.shell(script).env("LEDGER_URL", ledger).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 1\n");
    let report = std::fs::read_to_string(stage.scratch.path().join("night-24.jsonl")).unwrap();
    assert!(report.contains("\"run\":\"night-24\"") && report.contains("\"diverged\""), "{report}");
}

#[test]
fn commands_of_the_repository_do_what_is_documented() {
    let mut left: Vec<String> = Vec::new();
    let contributing = documents().find(|document| document.path == Path::new("CONTRIBUTING.md"));
    let blocks = blocks_in("sh").into_iter().chain(contributing.unwrap().blocks());
    for block in blocks.filter(|block| !block.text.starts_with("#!")) {
        let command = |line: &str| line.split('#').next().unwrap().trim_end().to_owned();
        left.extend(block.commands().iter().map(|shown| command(&shown.line)));
    }
    let mut take = |command: &str| {
        let place = left.iter().position(|line| line == command);
        drop(left.remove(place.unwrap_or_else(|| panic!("{command} is not in the text"))));
    };
    take("./examples/quickstart.sh");
    quickstart();
    // The commands are in the README and in CONTRIBUTING. Arguments are passed to cargo.
    for arguments in ["", "", " --lib", " scenarios"] {
        take(&format!("./tests/run.sh{arguments}"));
    }
    take("./.ci/run");
    assert!(read(".ci/run").contains("\nexec tests/run.sh\n"));
    take("cargo install --locked --path .");
    assert!(read("Cargo.toml").contains("[[bin]]\nname = \"pgreconcile\"\n"));
    let bench = read("tests/bench/main.rs");
    for (arguments, flags) in [
        (" --only W2,W4 --scale 0.1", &["only", "scale"][..]),
        (" --help", &[]),
        (
            " --scale 0.5 --rounds 9 --against ../before/release/pgreconcile",
            &["scale", "rounds", "against"],
        ),
    ] {
        take(&format!("cargo bench --bench workloads --{arguments}"));
        assert!(flags.iter().all(|flag| bench.contains(&format!("\n    {flag}: "))), "{flags:?}");
    }
    take("git worktree add ../before COMMIT");
    take("cargo build --release --manifest-path ../before/Cargo.toml --target-dir ../before");
    assert!(left.is_empty(), "{left:?}");
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|_| panic!("no {path}"))
}

/// Runs the quickstart from its start to its stop, without the build: a substitute for cargo, and
/// this build of the program in the place of the release build.
fn quickstart() {
    let folder = cluster::owned_folder();
    let place = folder.path();
    let release = place.join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = release.join("pgreconcile");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_pgreconcile"), program).unwrap();
    let cargo = place.join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| {
        let output = Command::new("./examples/quickstart.sh")
            .args(arguments)
            .current_dir(repository())
            .env_clear()
            .envs([("PATH", path.as_str()), ("HOME", "/nonexistent")])
            .env("CARGO_TARGET_DIR", place.join("target"))
            .env("PGRECONCILE_PG_BIN", cluster::binaries())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run(&[]);
    // Stops first, since after a failure its servers would keep running.
    run(&["stop"]);
    assert!(!place.join("target/quickstart").exists());
    // The report is the README's, except for the last line, which offers a report file.
    let report = masked(&said);
    let (_, report) = report.split_once("compare specs/tracking.toml\n\n").unwrap();
    let (report, _) = report.split_once("\n\nThese are the 6 differences").unwrap();
    let shown = blocks_in("console").remove(0);
    let shown = masked(&shown.commands()[0].output);
    assert_eq!(Some(report), shown.split_once("\nnext: ").map(|(shown, _)| shown));
    // On a terminal of 80 columns only lines that hold a path are broken.
    let wide = |line: &&str| line.chars().count() > 80 && !line.contains('/');
    assert_eq!(said.lines().find(wide), None);
}

#[test]
fn the_grants_are_enough() {
    let stage = Quickstart::new();
    let grants = blocks_in("sql");
    assert_eq!(grants.len(), 2);
    for (cluster, name) in [(&stage.monolith, "monolith"), (&stage.tracking, "tracking")] {
        let block = grants.iter().find(|block| block.text.starts_with(&format!("-- {name}\n")));
        let nothing = "revoke all on schema public from public";
        cluster.sql(name, &format!("revoke all on database {name} from public; {nothing}"));
        cluster.sql(name, &block.unwrap_or_else(|| panic!("no grants for {name}")).text);
    }
    let compare = || stage.program("reconciler").args(&["compare", "specs", "--format", "jsonl"]);
    let outcome = compare().run();
    assert_eq!(outcome.exits(1).findings().len(), 6);
    assert!(outcome.stderr.is_empty(), "{}", outcome.stderr);
    // Each of them is needed.
    for taken in
        ["select on tracking.event", "usage on schema tracking", "connect on database tracking"]
    {
        stage.tracking.sql("tracking", &format!("revoke {taken} from reconciler"));
        let _ = compare().run().exits(2);
        stage.tracking.sql("tracking", &format!("grant {taken} to reconciler"));
    }
}

/// Collects the names of fields below a record, with `*` for names that the user chooses.
fn shape(value: &Value, path: &str, found: &mut Words) {
    let Value::Object(fields) = value else { return };
    let free = ["key", "params", "columns", "after", "through"];
    for (name, value) in fields {
        let parent = path.rsplit('.').next().unwrap_or_default();
        let name = if free.contains(&parent) { "*" } else { name };
        let path = format!("{path}.{name}");
        found.insert(path.clone());
        shape(value, &path, found);
    }
}

/// Returns the fields of each kind of record, by its type and the way it names its place.
fn shapes(records: &[Value]) -> BTreeMap<String, Words> {
    let mut shapes: BTreeMap<String, Words> = BTreeMap::new();
    for record in records {
        let mut kind = record["type"].as_str().unwrap().to_owned();
        for place in ["range", "side", "key"] {
            if record.get(place).is_some() {
                kind.push_str(&format!(" {place}"));
            }
        }
        shape(record, "", shapes.entry(kind).or_default());
    }
    shapes
}

fn records(text: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(text).into_iter();
    values.collect::<Result<_, _>>().expect("JSON")
}

/// Returns every kind of record: a range, duplicates, NULLs in keys, a value that cannot be
/// computed.
fn everything() -> Vec<Value> {
    let tables = "create table kept (id int primary key, v int);
        create table loose (id int, v int); create table broken (id int primary key, v int);";
    let source = format!(
        "{tables} insert into kept select n, n from generate_series(1, 11001) n;
         insert into loose values (1, 1), (1, 1), (2, 2), (null, 1);
         insert into broken select n, n from generate_series(1, 9) n;"
    );
    let target = format!(
        "{tables} insert into kept values (1, 1), (11001, 1); insert into loose values (2, 1);
         insert into broken select n, n from generate_series(1, 9) n;"
    );
    let pair = Pair::new(&source, &target);
    let mapping = |name: &str, more: &str| {
        format!(
            "[[mapping]]\nkey = [\"id\"]\nsource.table = \"public.{name}\"\n\
             target.table = \"public.{name}\"\n{more}\n"
        )
    };
    let broken = "columns.v = { sql = \"v / (id - 5)\", target_sql = \"v\" }";
    let mappings = mapping("kept", "") + &mapping("loose", "") + &mapping("broken", broken);
    let spec = pair.spec(&format!("[params]\nday = {{ type = \"date\" }}\n{mappings}"));
    let outcome = pair.compare(&spec, &["--param", "day=2026-03-01"]);
    let mut records = records(&outcome.balances().exits(3).stdout);
    // On a busy machine the run waits and reports it in a field that is otherwise absent; `pace`
    // tests it.
    for record in &mut records {
        record.as_object_mut().unwrap().remove("paced");
    }
    records
}

#[test]
fn records_have_exactly_the_fields_that_are_shown() {
    let shown: Vec<Value> =
        blocks_in("json").iter().flat_map(|block| records(&block.text)).collect();
    assert_eq!(shapes(&shown), shapes(&everything()));
    let mut fields = Words::new();
    for path in shapes(&shown).values().flatten() {
        fields.insert(path.trim_start_matches('.').split('.').next().unwrap().to_owned());
    }
    let told: Words = rows("## Fields").iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(told, fields);
    // The section about row counts explains every part of `books`.
    let books = shown.iter().find(|record| record["type"] == "mapping").unwrap();
    let headings = books["books"]["source"].as_object().unwrap().keys();
    let explained = section("## Row counts");
    headings.for_each(|name| assert!(explained.contains(&format!("`{name}`")), "{name}"));
}

/// Returns whether a variable holds one value per line, and so may be empty.
fn takes_lines(variable: &str) -> bool {
    ["PGRECONCILE_PARAM", "PGRECONCILE_MAPPING"].contains(&variable)
}

const VERBS: [&str; 9] =
    ["check", "plan", "compare", "recheck", "gate", "history", "report", "repair", "apply"];

/// Returns the flags of a verb, without dashes.
fn flags(verb: &str) -> Words {
    let help = Program::new().args(&[verb, "--help"]).run();
    let lines = help.exits(0).stdout.lines().map(str::trim_start);
    let named = lines.filter(|line| line.starts_with('-'));
    set(named.flat_map(|line| words(line, "--", "-")).map(|flag| flag.trim_end_matches('.')))
}

/// The manual's table of types would differ from the plans. The expected table is built from the
/// decisions that plans use.
#[test]
fn documented_types_are_those_of_plans() {
    let mut table =
        "| types | compared as | digested as | equal if |\n|---|---|---|---|\n".to_owned();
    for line in pgreconcile::plan::supported_types() {
        let types: Vec<String> = line
            .types
            .iter()
            .map(|name| match name.split_once(", ") {
                Some((name, more)) => format!("`{name}` ({more})"),
                None if name.contains(' ') || name.ends_with("ums") => name.clone(),
                None => format!("`{name}`"),
            })
            .collect();
        table.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            types.join(", "),
            line.form,
            line.digested,
            line.equal
        ));
    }
    assert!(section("## Table of types").contains(&table), "the table of types should be\n{table}");
}

/// Returns whether a verb accepts the flag of a row.
fn understood(row: &[String], verb: &str) -> bool {
    row[2] == "all" || row[2].split(", ").any(|known| known == verb)
}

#[test]
fn flags_and_variables_are_the_programs() {
    let stage = Quickstart::new();
    let mut told: BTreeMap<&str, Words> = BTreeMap::new();
    // Variables without a flag.
    let others = ["PGRECONCILE_PG_BIN", "PGRECONCILE_PGBOUNCER", "PGRECONCILE_REDACT_KEY"];
    let mut variables = set(others);
    for row in rows("## Flags").iter().filter(|row| row[0].starts_with("`--")) {
        for flag in code(&row[0]) {
            let flag = flag.split(' ').next().unwrap().to_owned();
            for verb in VERBS.iter().filter(|verb| understood(row, verb)) {
                told.entry(verb).or_default().insert(flag.clone());
            }
            let name = flag.trim_start_matches("--").replace('-', "_").to_uppercase();
            let variable = format!("PGRECONCILE_{name}");
            if row[1] == "none" {
                continue;
            }
            assert_eq!(row[1], format!("`{variable}`"));
            // The variable is read, since a nonsense value in it is refused, and so is an empty
            // one.
            for value in ["nonsense", ""].iter().take(if takes_lines(&variable) { 1 } else { 2 }) {
                let program = stage.program("reader").env(&variable, value);
                let verbs = ["compare", "recheck", "repair", "gate"];
                let verb = verbs.into_iter().find(|verb| understood(row, verb)).unwrap();
                let _ = program.args(&[verb, "specs"]).run().exits(2);
            }
            variables.insert(variable);
        }
    }
    for verb in VERBS {
        assert_eq!(told[verb], flags(verb), "{verb}");
    }
    let texts: String = documents().map(|document| document.text.as_str()).collect();
    let named = set(words(&texts, "PGRECONCILE_", "_"));
    assert_eq!(named, variables);
    // Every other flag of the manual belongs to a later version, and is refused as such.
    let prose: String = MANUAL.iter().map(Document::prose).collect();
    let others = words(&prose, "--", "-").into_iter().filter(|flag| !flag.starts_with("---"));
    for flag in others.filter(|flag| !told.values().any(|flags| flags.contains(*flag))) {
        let refused = Program::new().args(&["compare", "x.toml", &format!("{flag}=1")]).run();
        assert!(refused.exits(2).stderr.contains("does nothing in this version yet"), "{flag}");
    }
}

/// Checks a spec that contains this and has no databases, and returns the message.
fn complaint(text: &str) -> String {
    let scratch = crate::support::Scratch::new();
    let spec = scratch.file("spec.toml", text);
    Program::new().args(&["check", spec.to_str().unwrap()]).run().exits(2).stderr.clone()
}

const HEAD: &str = "version = 1\nname = \"x\"\nsource.url = \"\"\ntarget.url = \"\"\n";
const SIDES: &str = "source.table = \"a.b\"\ntarget.table = \"a.b\"\n";

#[test]
fn documented_keys_are_those_of_the_program() {
    let unknown = "zzzzzzzzzzzz = 1";
    for (heading, text) in [
        ("## The file", format!("{unknown}\n{HEAD}[[mapping]]\n{SIDES}")),
        ("## `[source]` and `[target]`", format!("{HEAD}source.{unknown}\n[[mapping]]\n{SIDES}")),
        ("## `[params]`", format!("{HEAD}params.p = {{ {unknown} }}\n[[mapping]]\n{SIDES}")),
        ("## `[compare]`", format!("{HEAD}compare.{unknown}\n[[mapping]]\n{SIDES}")),
        ("## `[pace]`", format!("{HEAD}pace.{unknown}\n[[mapping]]\n{SIDES}")),
        ("## `[gate]`", format!("{HEAD}gate.{unknown}\n[[mapping]]\n{SIDES}")),
        ("## `[[mapping]]`", format!("{HEAD}[[mapping]]\n{SIDES}{unknown}\n")),
        (
            "## `[mapping.source]` and `[mapping.target]`",
            format!("{HEAD}[[mapping]]\n{SIDES}source.{unknown}\n"),
        ),
        (
            "## `[mapping.columns]`",
            format!("{HEAD}[[mapping]]\n{SIDES}columns.c = {{ {unknown} }}\n"),
        ),
        (
            "## `[[mapping.accept]]`",
            format!("{HEAD}[[mapping]]\n{SIDES}[[mapping.accept]]\n{unknown}\n"),
        ),
    ] {
        let said = complaint(&text);
        let (_, known) = said.split_once("Known keys are ").unwrap_or_else(|| panic!("{said}"));
        let (known, _) = known.split_once('.').unwrap();
        let known = set(known.split(", ").map(|word| word.split_whitespace().collect::<String>()));
        let told: Words = rows(heading).iter().flat_map(|row| code(&row[0])).collect();
        assert_eq!(told, known, "{heading}");
    }
}

#[test]
fn hints_are_those_that_the_program_has() {
    let files = std::fs::read_dir("src/diagnosis").unwrap();
    let code_of_hints: String =
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let told: Words = rows("## Hints").iter().flat_map(|row| code(&row[0])).collect();
    for word in &told {
        assert!(code_of_hints.contains(&format!("\"{word}\"")), "{word}");
    }
    let tested = include_str!("../report/diagnosis.rs");
    told.iter().for_each(|word| assert!(tested.contains(word.as_str()), "{word} has no test"));
}

#[test]
fn variables_and_keywords_of_connections_are_read() {
    let read_by =
        ["src/pg/defaults.rs", "src/pg/conninfo.rs", "src/pg/libpq_files.rs"].map(read).concat();
    let text = section("# Connections");
    let variables = words(&text, "PG", "_");
    assert!(variables.len() > 15);
    for word in variables {
        assert!(read_by.contains(&format!("\"{word}\"")), "{word}");
    }
    let (_, further) = text.split_once("Further keywords: ").unwrap();
    let (further, _) = further.split_once("`options`").unwrap();
    for keyword in code(further) {
        assert!(read_by.contains(&format!("\"{keyword}\"")), "{keyword}");
    }
}

/// The table's figures would differ from the list that the tests are counted against, or a row of
/// the list would have no test.
#[test]
fn the_table_of_faults_is_what_the_tests_count() {
    let listed = FAULTS.iter().map(|(_, fault)| {
        [fault.what.to_owned(), grouped(fault.times), fault.holds.to_owned()].to_vec()
    });
    assert_eq!(rows("## Faults"), listed.collect::<Vec<_>>());
    let tests = tests_of("tests");
    for (name, _) in FAULTS {
        assert!(tests.contains(&format!("fault::{name}.tried(")), "{name} has no test");
    }
}

/// Formats a number with a comma between thousands.
fn grouped(number: usize) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

/// Returns the text of every test below a folder.
fn tests_of(folder: &str) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| match path.is_dir() {
        true => tests_of(path.to_str().unwrap()),
        false => std::fs::read_to_string(&path).unwrap_or_default(),
    });
    texts.collect()
}

#[test]
fn recipes_are_those_of_the_justfile() {
    let told: Words = rows("## Recipes").iter().flat_map(|row| code(&row[0])).collect();
    let justfile = read("justfile");
    let recipes =
        justfile.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let names = recipes.filter(|line| line.contains(':') && !line.contains(":="));
    let names = names.map(|line| line.split([' ', ':']).next().unwrap());
    assert_eq!(told, set(names.map(|name| format!("just {name}"))));
}
