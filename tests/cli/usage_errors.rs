//! Mistakes in calls and files: each problem is reported once, with its place and its remedy. The
//! exit code is 2, and no server is contacted if the file alone shows the problem.

use std::net::TcpListener;

use crate::support::{
    Case, HEAD, MAPPING, Pair, Problem, Program, Scratch, free_port, hold, refused,
};

/// A folder for specs whose servers may not be contacted.
struct Desk {
    scratch: Scratch,
    listener: TcpListener,
}

impl Desk {
    fn new() -> Desk {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Desk { scratch: Scratch::new(), listener }
    }

    fn program(&self) -> Program {
        let url = format!("postgres://u@{}/d?sslmode=disable", self.listener.local_addr().unwrap());
        Program::new()
            .env("SOURCE_URL", &url)
            .env("TARGET_URL", &url)
            .current_dir(self.scratch.path())
    }

    /// Returns the problems that each verb reports for a file; all verbs report the same.
    fn problems(&self, name: &str, bytes: &[u8]) -> Vec<Problem> {
        std::fs::write(self.scratch.path().join(name), bytes).unwrap();
        let mut told = Vec::new();
        for verb in ["check", "plan", "compare"] {
            told = refused(&self.program().args(&[verb, name]).run());
            self.untouched(name);
        }
        told
    }

    fn untouched(&self, what: &str) {
        assert!(self.listener.accept().is_err(), "a connection was made: {what}");
    }
}

/// A mistake in a spec would show only after servers were queried, and without its line.
#[test]
fn a_problem_in_a_spec_is_reported_before_connecting() {
    let desk = Desk::new();
    let with = |extra: &str| format!("{HEAD}{extra}{MAPPING}");
    let after = |extra: &str| format!("{HEAD}{MAPPING}{extra}");
    let cases: [Case<'_>; 18] = [
        (
            with("[compare]\nsettel = \"1s\"\n"),
            &[("unknown key \"settel\" in [compare]", "settel", "Did you mean \"settle\"?")],
        ),
        (
            with("[compare]\njobs = \"two\"\n"),
            &[("\"jobs\" must be a whole number, not a string", "\"two\"", "")],
        ),
        (
            with("[compare]\nsettle = 15\n"),
            &[("\"settle\" must be a string, not a whole number", "15", "")],
        ),
        (
            with("[compare]\nsettle = \"soon\"\n"),
            &[("\"settle\" is not a duration", "\"soon\"", "15s")],
        ),
        (
            with("[compare]\nstrategy = \"digset\"\n"),
            &[("\"strategy\" cannot be \"digset\"", "\"digset\"", "Did you mean \"digest\"?")],
        ),
        (
            with("[params]\ntenants = { type = \"int8[]\" }\n"),
            &[("parameter \"tenants\"", "tenants", "--param tenants=VALUE")],
        ),
        (with("[compare\n"), &[("the file is not TOML", "\n[[", "")]),
        (
            HEAD.replace("SOURCE", "NO_SUCH") + MAPPING,
            &[("the environment variable \"NO_SUCH_URL\" is not set", "\"${NO", "Set NO_SUCH_URL")],
        ),
        (
            HEAD.replace("version = 1", "version = 2") + MAPPING,
            &[("version 2", "2", "newer pgreconcile")],
        ),
        (
            HEAD.replace("\"test\"", "\"../../etc/passwd\"") + MAPPING,
            &[("\"../../etc/passwd\" cannot be a spec's name", "\"../", "letters")],
        ),
        (
            HEAD.to_owned() + MAPPING + &MAPPING.replace("]]", "]] # twice"),
            &[("two mappings are named \"t\"", "[[mapping]] # twice", "name of its own")],
        ),
        (
            HEAD.to_owned() + &MAPPING.replacen("public.t", "tee", 1),
            &[("\"tee\" does not name a table", "\"tee\"", "public.tee")],
        ),
        (
            after("where = \"id > :low\"\n"),
            &[("parameter \"low\" is not declared", "\"id >", "[params]")],
        ),
        (
            after("where = \"true); drop table t; --\"\n"),
            &[("\"where\" cannot stand between brackets", "\"true)", "brackets")],
        ),
        (
            after("where = \"id > ${LOW}\"\n"),
            &[("environment variables are not expanded", "\"id >", "[params]")],
        ),
        (
            after("query = \"select 1\"\n"),
            &[("\"table\" and \"query\" exclude each other", "\"select 1\"", "Keep one")],
        ),
        (
            after("[mapping.columns]\nv = { from = \"v\", rule = \"jsn\" }\n"),
            &[("unknown rule \"jsn\"", "\"jsn\"", "Did you mean \"json\"?")],
        ),
        // All problems of a file are reported at once, in the order of their places.
        (
            with("[compare]\njob = 1\nsettle = 5\n[gat]\n") + "where = \":x\"\n",
            &[
                ("unknown key \"job\"", "job =", "jobs"),
                ("\"settle\" must be", "5\n", ""),
                ("unknown key \"gat\"", "gat", "gate"),
                ("parameter \"x\"", "\":x\"", "[params]"),
            ],
        ),
    ];
    hold(&cases, |text| desk.problems("spec.toml", text.as_bytes()));
}

/// An operator would rely on a setting that the program ignores.
#[test]
fn an_option_without_effect_is_refused_by_name() {
    let desk = Desk::new();
    let nothing = "does nothing in this version yet";
    desk.scratch.file("good.toml", &format!("{HEAD}{MAPPING}"));
    for flags in [&["--format", "html"][..], &["--format", "markdown"], &["--format", "github"]] {
        let told = refused(&desk.program().args(&["compare", "good.toml"]).args(flags).run());
        let flag = flags[0].split('=').next().unwrap();
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].headline.contains(flag) && told[0].headline.contains(nothing), "{told:#?}");
        let variable = format!("PGRECONCILE_{}", flag[2..].to_uppercase().replace('-', "_"));
        let value = flags.get(1).unwrap_or(&"1");
        let by_variable =
            desk.program().env(&variable, value).args(&["compare", "good.toml"]).run();
        assert!(refused(&by_variable)[0].headline.contains(flag), "{by_variable:?}");
        desk.untouched(flag);
    }
}

#[test]
fn a_file_of_any_bytes_is_refused_in_bounds() {
    let desk = Desk::new();
    let good = format!("{HEAD}{MAPPING}");
    let wrong = good.replace("public.t", "tee");
    let keys: String = (0..1_000).map(|n| format!("k{n} = 1\n")).collect();
    let cases: [(&str, Vec<u8>, usize, &str, &str); 16] = [
        ("empty", Vec::new(), 5, "\"version\" is missing", "spec.toml:1:1"),
        (
            "a byte order mark alone",
            "\u{feff}".into(),
            5,
            "\"version\" is missing",
            "spec.toml:1:1",
        ),
        (
            "places behind a byte order mark",
            format!("\u{feff}{wrong}").into(),
            2,
            "\"tee\"",
            "spec.toml:9:9",
        ),
        ("CRLF", wrong.replace('\n', "\r\n").into(), 2, "\"tee\"", "spec.toml:9:9"),
        (
            "NUL",
            good.replace("public.t", "public.\0").into(),
            2,
            "the file is not TOML",
            "spec.toml:9:17",
        ),
        (
            "bad UTF-8",
            [good.as_bytes(), b"x = \"ab\xff\"\n"].concat(),
            1,
            "the file is not UTF-8",
            "spec.toml:12:8",
        ),
        (
            "half a character",
            [good.as_bytes(), b"# \xc3"].concat(),
            1,
            "the file is not UTF-8",
            "spec.toml:12:3",
        ),
        (
            "one key twice",
            good.replace("[target]", "url = \"\"\n[target]").into(),
            1,
            "duplicate key",
            "spec.toml:5:1",
        ),
        (
            "a thousand problems",
            format!("{good}{keys}").into(),
            100,
            "unknown key \"k0\"",
            "spec.toml:12:1",
        ),
        (
            "10,000 lists",
            format!("{good}ignore = {}", "[".repeat(10_000)).into(),
            2,
            "cannot recurse",
            "spec.toml:12",
        ),
        (
            "10,000 tables",
            format!("{good}ignore = {}", "{a=".repeat(10_000)).into(),
            3,
            "cannot recurse",
            "spec.toml:12",
        ),
        (
            "10,000 dots",
            format!("{good}[x{}]\n", ".a".repeat(10_000)).into(),
            1,
            "recursion limit",
            "spec.toml",
        ),
        (
            "1 MB of brackets",
            "[".repeat(1 << 20).into(),
            1,
            "a part of the file has too many words",
            "spec.toml:1:1",
        ),
        (
            "a mapping by two forms",
            good.replace("name = \"test\"", "name = \"test\"\nmapping = []").into(),
            1,
            "both as [[mapping]] and otherwise",
            "spec.toml:3:1",
        ),
        (
            "a name of 1 MB",
            format!("{good}{} = 1", "k".repeat(1 << 20)).into(),
            1,
            "unknown key \"kkk",
            "spec.toml:12:1",
        ),
        ("larger than a spec", vec![b' '; (4 << 20) + 1], 1, "larger than 4 MiB", ""),
    ];
    for (what, bytes, count, headline, place) in cases {
        let told = desk.problems("spec.toml", &bytes);
        assert_eq!(told.len(), count, "{what}: {told:#?}");
        let said = told.iter().find(|told| told.headline.contains(headline));
        let said = said.unwrap_or_else(|| panic!("{what}: {told:#?}"));
        assert!(said.place.starts_with(place) && !said.hint.is_empty(), "{what}: {told:#?}");
        let length = desk.program().args(&["check", "spec.toml"]).run().stderr.len();
        assert!(length < 50_000, "{what}: {length} bytes on stderr");
    }
    std::fs::write(desk.scratch.path().join("spec.toml"), format!("{good}{keys}")).unwrap();
    let outcome = desk.program().args(&["check", "spec.toml"]).run();
    assert!(outcome.stderr.contains("… and 900 more in spec.toml"), "{}", outcome.stderr);
}

/// Files with many mistakes would take much more memory than they have bytes: 2.4 MB took 202 MB.
/// Here are many mappings with many mistakes each, and other files of up to 4 MiB.
#[test]
fn mistakes_by_the_ten_thousand_take_little_memory() {
    let desk = Desk::new();
    let mapping = "[[mapping]]\n[mapping.source]\ntble = \"a\"\n[mapping.target]\ntable = 1\n";
    let keys: String =
        (0..30_000).map(|n| format!("unknown_{n:05}_{} = 1\n", "x".repeat(62))).collect();
    let cases = [
        ("mappings", format!("{HEAD}{}", mapping.repeat(36_000)), 100, "… and 143900 more"),
        ("keys", format!("{HEAD}{MAPPING}[gate]\n{keys}"), 100, "… and 29900 more"),
        (
            "values",
            format!("{HEAD}{MAPPING}ignore = [{}]\n", "1,".repeat(60_000)),
            100,
            "… and 59900 more",
        ),
        ("errors", "= \n".repeat(1 << 20), 1, ""),
        ("brackets", "[".repeat(4 << 20), 1, ""),
    ];
    for (what, text, count, more) in cases {
        desk.scratch.file("spec.toml", &text);
        let (outcome, peak) = desk.program().args(&["check", "spec.toml"]).run_measured();
        assert!(outcome.exits(2).stderr.contains(more), "{what}: {}", outcome.stderr);
        assert_eq!(refused(&outcome).len(), count, "{what}");
        assert!(peak > 0 && peak < 64, "{what}: {peak} MiB");
    }
}

#[test]
fn a_file_that_is_legal_but_unusual_is_read_to_its_end() {
    let desk = Desk::new();
    let good = format!("{HEAD}{MAPPING}").replace(":1/d", "");
    for text in [format!("\u{feff}{good}"), good.replace('\n', "\r\n"), good.trim_end().to_owned()]
    {
        std::fs::write(desk.scratch.path().join("spec.toml"), &text).unwrap();
        let nobody = format!("postgres://u@127.0.0.1:{}/d", free_port());
        let program = desk.program().env("SOURCE_URL", &nobody).env("TARGET_URL", &nobody);
        let told = refused(&program.args(&["check", "spec.toml"]).run());
        assert!(told.len() == 1 && told[0].headline.contains("cannot connect"), "{told:#?}");
    }
}

#[test]
fn a_name_that_could_drive_the_terminal_is_shown_as_escapes() {
    let desk = Desk::new();
    for hostile in [
        "\u{1b}[31m",
        "\u{1b}]8;;x\u{7}",
        "\u{202e}",
        "\u{9b}2J",
        "\r",
        "\u{7f}",
        "\u{2066}",
        "\u{2028}",
    ] {
        let escaped: String = hostile.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        // Written with TOML's escapes and, where TOML allows it, raw; in the file, its name and the
        // arguments.
        for part in [escaped.as_str(), hostile] {
            let text = format!("{HEAD}{MAPPING}\"{part}\" = 1\nname = \"{part}\"\n");
            assert!(!desk.problems("spec.toml", text.as_bytes()).is_empty());
            let text = HEAD.replace("test", part)
                + &MAPPING.replace("public.t", &format!("{part}.{part}"));
            assert!(!desk.problems("spec.toml", text.as_bytes()).is_empty());
        }
        let name = format!("{hostile}.toml");
        let text = format!("{HEAD}{MAPPING}");
        desk.scratch.file(&name, &text.replace("public.t", "tee"));
        for arguments in [
            &[name.as_str()][..],
            &[hostile],
            &[&name, "--param", hostile],
            &[&name, "--param", &format!("{hostile}=1")],
            &[&name, "--report", hostile],
            &[&name, "--mapping", hostile, hostile],
            &[&name, "--settle", hostile],
            &[&name, "--ledger", hostile],
            &[&name, &format!("--{hostile}")],
        ] {
            let outcome = desk.program().arg("compare").args(arguments).run();
            assert!(!refused(&outcome).is_empty(), "{outcome:?}");
        }
    }
}

#[test]
fn help_fits_a_terminal_and_names_every_exit_code() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["check", "--help"],
        &["plan", "--help"],
        &["compare", "--help"],
        &["compare", "-h"],
        &["help", "compare"],
    ] {
        let outcome = Program::new().args(arguments).run();
        assert_eq!(outcome.exits(0).stderr, "");
        for line in outcome.stdout.lines() {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line}");
        }
        assert!(outcome.stdout.contains("4 another run holds the lock"), "{}", outcome.stdout);
    }
    let version = Program::new().arg("--version").run();
    assert_eq!(version.exits(0).stdout, format!("pgreconcile {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [&[][..], &["compare"], &["comapre", "x"], &["compare", "x", "--nonsense"]] {
        let outcome = Program::new().args(arguments).run();
        assert_eq!(outcome.exits(2).stdout, "");
        assert!(outcome.stderr.contains("Usage: pgreconcile"), "{}", outcome.stderr);
    }
}

/// A ledger without a spec would keep its row data forever: only a run of its spec deletes any.
#[test]
fn check_names_the_ledgers_that_no_spec_owns() {
    let table = "create table t (id int primary key, v text)";
    let pair = Pair::new(table, table);
    let spec = pair.spec(MAPPING);
    let call = |args: &[&str]| pair.program().without("PGRECONCILE_LEDGER").args(args).run();
    let _ = call(&["compare", "spec.toml", "--settle", "0s"]).exits(0);
    let warnings = |args: &[&str]| call(args).exits(0).stderr.matches("no spec beside it").count();
    assert_eq!(warnings(&["check", "spec.toml"]), 0);
    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, text.replace("name = \"test\"", "name = \"other\"")).unwrap();
    assert_eq!(warnings(&["check", pair.scratch.path().to_str().unwrap()]), 1);
    pair.scratch.file("Cargo.toml", "[package]\nname = \"pack\"\n");
    let said = call(&["check", "spec.toml"]);
    let files =
        ".pgreconcile/test.db, .pgreconcile/test.db.lock: no spec beside it is named \"test\"";
    assert!(said.exits(0).stderr.contains(files), "{}", said.stderr);
    assert!(said.stderr.contains("hint: "), "{}", said.stderr);
    assert!(pair.scratch.path().join(".pgreconcile/test.db").exists());
    // Another spec of the folder may own it: a complete one, or one that is not finished.
    let twin = pair.scratch.file("twin.toml", &text);
    assert_eq!(warnings(&["check", "spec.toml"]), 0);
    std::fs::write(twin, "name = \"test\"\n[[mapping").unwrap();
    assert_eq!(warnings(&["check", "spec.toml"]), 0);
}
