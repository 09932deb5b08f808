//! Standard streams: data on stdout, everything else on stderr; colours, variables, a closed pipe.

use pgreconcile::schema::Side;

use crate::support::report::{BOTH, compare, diverged, in_shell, json, names, read};
use crate::support::{HEAD, MAPPING, Pair, harmless, refused};

#[test]
fn data_goes_to_stdout_and_everything_else_to_stderr() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    for (flags, stdout, stderr) in [
        (&["--quiet"][..], false, false),
        (&["--quiet", "-vv", "--format", "json", "--progress", "always"], true, false),
        (&["--quiet", "--format", "csv"], true, false),
        (&["--format", "json"], true, false),
        (&["-v", "--format", "json", "--log-format", "json"], true, true),
        (&["--progress", "always", "--format", "jsonl"], true, false),
    ] {
        let outcome = compare(&pair, &spec).args(flags).run();
        outcome.exits(1);
        assert_eq!(
            (!outcome.stdout.is_empty(), !outcome.stderr.is_empty()),
            (stdout, stderr),
            "{flags:?} {outcome:?}"
        );
        if flags.contains(&"json") && flags.contains(&"--format") {
            json(&outcome.stdout);
        }
        if flags.contains(&"--log-format") {
            assert!(
                outcome.stderr.lines().all(|line| json(line).is_object()),
                "{}",
                outcome.stderr
            );
        }
    }
    // `--quiet` hides a warning, but not an error.
    let literal = format!("{HEAD}{MAPPING}")
        .replace("${TARGET_URL}", &format!("{}?password=x", pair.url(Side::Target)));
    let spec = pair.scratch.file("literal.toml", &literal);
    let loud = compare(&pair, &spec).run();
    assert!(
        loud.exits(1).stderr.contains("warning: the spec contains a password"),
        "{}",
        loud.stderr
    );
    assert_eq!(compare(&pair, &spec).arg("--quiet").run().exits(1).stderr, "");
    let spec = pair.scratch.file("wrong.toml", &literal.replace("public.t", "public.no"));
    let outcome = compare(&pair, &spec).arg("--quiet").run();
    assert!(
        refused(&outcome).len() == 2 && !outcome.stderr.contains("warning"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn colours_need_a_terminal_or_a_flag() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let wrong = pair.scratch.file("wrong.toml", &format!("{HEAD}{MAPPING}jobs = 1\n"));
    let missing = pair.scratch.path().join("missing.toml");
    type Variables<'v> = &'v [(&'v str, &'v str)];
    let force = ("CLICOLOR_FORCE", "1");
    for (flags, variables, coloured) in [
        (&[][..], &[][..], false),
        (&["--color", "auto"], &[], false),
        (&[], &[force], true),
        (&[], &[force, ("NO_COLOR", "1")], false),
        (&["--color", "never"], &[force], false),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
        (&[], &[("PGRECONCILE_COLOR", "always")], true),
    ] as [(&[&str], Variables<'_>, bool); 7]
    {
        let told = compare(&pair, &spec).args(flags).run_with(variables);
        assert_eq!(told.stdout.contains('\u{1b}'), coloured, "{flags:?} {variables:?}");
        for spec in [&wrong, &missing] {
            let told = compare(&pair, spec).args(flags).run_with(variables);
            assert_eq!(
                told.exits(2).stderr.contains('\u{1b}'),
                coloured,
                "{flags:?} {variables:?}"
            );
        }
        let told =
            compare(&pair, &spec).args(flags).args(&["--format", "jsonl"]).run_with(variables);
        assert!(!told.stdout.contains('\u{1b}'), "{}", told.stdout);
    }
}

#[test]
fn every_flag_has_a_variable_and_wins_over_it() {
    let pair = diverged();
    let spec = pair.spec(&format!(
        "[params]\nlow = {{ type = \"int\" }}\nhigh = {{ type = \"int\" }}\n{}{BOTH}",
        MAPPING.replace("]]\n", "]]\nname = \"u\"\n") + "where = \"id between :low and :high\"\n"
    ));
    let base = [
        ("PGRECONCILE_PARAM", "low=1\nhigh=3\n"),
        ("PGRECONCILE_SETTLE", "0s"),
        ("PGRECONCILE_PROGRESS", "never"),
        ("PGRECONCILE_FORMAT", "jsonl"),
    ];
    let call = |variables: &[(&str, &str)], flags: &[&str]| {
        let program = pair.program().args(&["compare", spec.to_str().unwrap()]).args(flags);
        program.run_with(&[&base, variables].concat())
    };
    let outcome = call(&[("PGRECONCILE_MAPPING", "u\nt"), ("PGRECONCILE_LEDGER", "off")], &[]);
    assert_eq!(outcome.exits(1).records("mapping").len(), 2);
    assert_eq!(outcome.records("run")[0]["params"], json("{\"low\":\"1\",\"high\":\"3\"}"));
    let reports = "by variable.json\nby variable.csv\n";
    call(&[("PGRECONCILE_REPORT", reports), ("PGRECONCILE_QUIET", "true")], &["--ledger", "off"])
        .exits(1);
    json(&read(&pair, "by variable.json"));
    assert!(read(&pair, "by variable.csv").starts_with("mapping,kind"));
    let outcome = call(&[("PGRECONCILE_MAX_FINDINGS", "1")], &["--mapping", "t"]);
    assert_eq!(outcome.exits(3).mapping()["truncated"], true);
    call(&[("PGRECONCILE_MAX_FINDINGS", "1")], &["--mapping", "t", "--max-findings", "9"]).exits(1);
    let outcome = call(
        &[("PGRECONCILE_STRATEGY", "stream"), ("PGRECONCILE_KEYS_ONLY", "1")],
        &["--mapping", "t"],
    );
    assert_eq!(outcome.exits(1).mapping()["strategy"], "stream");
    assert!(outcome.stdout.contains("\"columns\":{\"v\":{},\"n\":{}}"), "{}", outcome.stdout);
    for (variable, value, flag) in [
        ("PGRECONCILE_JOBS", "none", "--jobs"),
        ("PGRECONCILE_CHUNK_ROWS", "-1", "--chunk-rows"),
        ("PGRECONCILE_STRATEGY", "fast", "--strategy"),
        ("PGRECONCILE_SAMPLE", "half", "--sample"),
        ("PGRECONCILE_SETTLE", "5", "--settle"),
        ("PGRECONCILE_MAX_FINDINGS", "0", "--max-findings"),
        ("PGRECONCILE_FORMAT", "xml", "--format"),
        ("PGRECONCILE_PROGRESS", "often", "--progress"),
        ("PGRECONCILE_COLOR", "red", "--color"),
        ("PGRECONCILE_LOG_FORMAT", "xml", "--log-format"),
        ("PGRECONCILE_LEDGER", "file", "--ledger"),
        ("PGRECONCILE_QUIET", "maybe", "--quiet"),
        ("PGRECONCILE_EXPAND", "maybe", "--expand"),
        ("PGRECONCILE_KEYS_ONLY", "maybe", "--keys-only"),
    ] {
        let told = refused(&call(&[(variable, value)], &[]));
        assert!(told.len() == 1 && told[0].headline.contains(flag), "{told:#?}");
    }
}

#[test]
fn a_reader_who_goes_away_ends_the_run_without_a_word() {
    let pair = Pair::new(
        "create table t (id int primary key); insert into t select generate_series(1, 5000)",
        "create table t (id int primary key)",
    );
    pair.spec(MAPPING);
    for flags in ["--format jsonl --expand", "--format csv --expand", "--format json --expand", ""]
    {
        let script = format!(
            "\"$BIN\" compare spec.toml --settle 0s {flags} 2>err | head -c 1; cat err >&2"
        );
        let outcome = in_shell(&pair, &script);
        assert_eq!(outcome.exits(0).stderr, "", "{flags}");
        assert_eq!(outcome.stdout.len(), 1);
    }
    let outcome = in_shell(&pair, "\"$BIN\" plan spec.toml | true");
    assert_eq!(outcome.exits(0).stderr, "");
    // Every other failure is reported.
    for verb in
        ["compare --settle 0s", "compare --settle 0s --format jsonl", "plan", "plan --format json"]
    {
        let code = if verb == "plan" || verb.starts_with("plan") { 2 } else { 3 };
        let outcome = in_shell(&pair, &format!("exec \"$BIN\" {verb} spec.toml >/dev/full"));
        let errors = outcome.exits(code).stderr.matches("error: ").count();
        assert!(
            errors == 1 && outcome.stderr.contains("stdout cannot be written"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn check_reports_ok_and_plan_shows_what_would_be_done() {
    let pair = diverged();
    let spec = pair.spec(MAPPING);
    let call =
        |arguments: &[&str]| pair.program().args(arguments).arg(spec.to_str().unwrap()).run();
    let outcome = call(&["check"]);
    assert_eq!(outcome.exits(0).stdout, "");
    assert!(
        outcome.stderr.contains("spec.toml: ok, 1 mapping; source PostgreSQL "),
        "{}",
        outcome.stderr
    );
    assert_eq!(call(&["check", "--quiet"]).exits(0).stderr, "");
    let outcome = call(&["plan"]);
    for words in ["strategy", "t_pkey", "key", "chunks", "rows", "repair", "id (key): id integer"] {
        assert!(outcome.exits(0).stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 80), "{}", outcome.stdout);
    harmless(&outcome.stdout);
    assert_eq!(call(&["plan", "--quiet"]).exits(0).stdout, "");
    let plan = json(
        &call(&["plan", "--format", "json", "--strategy", "stream", "--chunk-rows", "7"]).stdout,
    );
    assert_eq!(names(&plan), "spec source target mappings");
    let mapping = &plan["mappings"][0];
    for name in ["mapping", "reason", "key", "rows", "chunks", "source", "target", "not_repaired"] {
        assert!(mapping.get(name).is_some(), "{name}: {mapping}");
    }
    assert_eq!((&mapping["strategy"], &mapping["chunk_rows"]), (&"stream".into(), &7.into()));
    assert_eq!(mapping["pairs"][0]["pair"], "id");
}
