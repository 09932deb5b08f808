//! Problems that only the servers can show, and problems of several specs: the exit code is 2, all
//! problems are reported at once, and no connection stays open.

use pgreconcile::schema::Side;

use crate::support::wait;
use crate::support::{
    CANARY, Case, HEAD, MAPPING, Pair, Problem, Program, Scratch, free_port, guarded, hold, refused,
};

const TABLES: &str = "create table t (id int primary key, v text, extra int);
    create table keyless (a int, b text);
    create table secret (id int primary key);
    create schema closed; create table closed.t (id int primary key);";

fn tables() -> Pair {
    let pair = Pair::new(TABLES, TABLES);
    pair.sql(
        Side::Source,
        "revoke select on secret from reader; alter table t add monolith_only int",
    );
    pair.sql(Side::Target, "revoke usage on schema closed from reader");
    pair
}

/// Returns the problems that each verb reports for a spec; all verbs report the same.
fn problems(pair: &Pair, text: &str, flags: &[&str]) -> Vec<Problem> {
    let spec = pair.scratch.file("spec.toml", text);
    let mut told = Vec::new();
    for verb in ["check", "plan", "compare"] {
        let program = pair.program().args(&[verb, spec.to_str().unwrap()]);
        told = refused(&program.args(flags).run());
        nobody_stays(pair);
    }
    told
}

/// Waits until no connection to the pair's database is left.
fn nobody_stays(pair: &Pair) {
    let others = "select count(*) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    for side in Side::BOTH {
        wait::until("no connection is left", || pair.sql(side, others) == "0");
    }
}

#[test]
fn what_the_catalogs_do_not_hold_is_named_at_its_place() {
    let pair = tables();
    let both = "[mapping.source]\ntable = \"public.t\"\nignore = [\"monolith_only\"]\n";
    let both = MAPPING.replace("[mapping.source]\ntable = \"public.t\"\n", both);
    let good = format!("{HEAD}{both}");
    let of = |table: &str| MAPPING.replace("public.t", table);
    let cases: [Case<'_>; 14] = [
        (
            format!("{HEAD}{MAPPING}"),
            &[(
                "column \"monolith_only\" is neither mapped nor ignored",
                "\"public.t\"",
                "\"ignore\"",
            )],
        ),
        (
            format!("{good}[mapping.columns]\nextra = \"extr\"\n"),
            &[
                ("the source has no column \"extr\"", "\"extr\"", "Did you mean \"extra\"?"),
                ("\"extra\" is neither mapped nor ignored", "\"public.t\"", "Map it"),
            ],
        ),
        (
            format!("{good}ignore = [\"extr\"]\n"),
            &[("the target has no column \"extr\"", "\"extr\"", "Did you mean \"extra\"?")],
        ),
        (
            good.replace("]]\n", "]]\nkey = [\"ident\"]\n"),
            &[("\"ident\", which is not a pair", "\"ident\"", "target column")],
        ),
        (
            format!("{HEAD}{}", of("public.keyless")),
            &[("mapping \"keyless\" has no key", "get]\ntable = ^\"public", "key = [")],
        ),
        (
            format!("{HEAD}{}", of("public.tt")),
            &[
                (
                    "the source has no table \"public.tt\"",
                    "\"public.tt\"",
                    "Did you mean \"public.t\"?",
                ),
                (
                    "the target has no table \"public.tt\"",
                    "get]\ntable = ^\"public",
                    "Did you mean \"public.t\"?",
                ),
            ],
        ),
        (
            format!("{HEAD}{}", of("nowhere.t")),
            &[
                (
                    "the source has no table \"nowhere.t\"",
                    "\"nowhere.t\"",
                    "Schema \"nowhere\" has no tables here",
                ),
                ("the target has no table \"nowhere.t\"", "get]\ntable = ^\"nowhere", "Schema"),
            ],
        ),
        (
            format!("{HEAD}{}", of("public.secret")),
            &[(
                "role \"reader\" may not read source columns id of public.secret",
                "\"public.secret\"",
                "GRANT SELECT ON public.secret TO reader;",
            )],
        ),
        (
            format!("{HEAD}{}", of("closed.t")),
            &[(
                "may not use schema \"closed\" of the target",
                "get]\ntable = ^\"closed",
                "GRANT USAGE ON SCHEMA closed TO reader;",
            )],
        ),
        (
            format!("{good}where = \"no_such > 1\"\n"),
            &[("the target refuses this SQL: column \"no_such\" does not exist", "\"no_such", "")],
        ),
        (
            format!("{good}where = \"id + 1\"\n"),
            &[("\"where\" of the target gives integer, not a condition", "\"id +", "")],
        ),
        (
            format!("{good}where = \"id = any(f(id))\"\n"),
            &[("function f(integer) does not exist", "\"id =", "unless [target] sets search_path")],
        ),
        (
            format!(
                "{HEAD}[params]\nlow = {{ type = \"int8[]\", default = \"1,2\" }}\n{both}where = \"id = any(:low)\"\n"
            ),
            &[("the value of parameter \"low\" is not of type int8[]", "low", "{1,2}")],
        ),
        // All problems of all mappings are reported at once.
        (
            format!("{good}where = \"id >\"\n{}", of("public.secret")),
            &[
                ("the target refuses this SQL: syntax error", "\"id >", ""),
                ("may not read source columns id of public.secret", "\"public.secret\"", "GRANT"),
            ],
        ),
    ];
    hold(&cases, |text| problems(&pair, text, &[]));
    for flag in ["shipmnets", "u"] {
        let told = problems(&pair, &good, &["--mapping", flag]);
        assert_eq!(told[0].headline, format!("the spec has no mapping \"{flag}\""), "{told:#?}");
        assert!(told[0].hint.contains('t') && told.len() == 1, "{told:#?}");
    }
}

/// The message would not show which of the two servers needs a repair.
#[test]
fn an_unusable_server_is_named_with_side_and_remedy() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let dead = free_port();
    for (url, why, hint) in [
        (
            format!("host=127.0.0.1 port={dead} user=u"),
            "the source: cannot connect to 127.0.0.1",
            "network",
        ),
        (
            format!("{} user=secret password={CANARY}", guarded.at("127.0.0.1")),
            "password authentication failed",
            "PGPASSFILE",
        ),
        (format!("{} user=secret", guarded.at("127.0.0.1")), "no password is known", "PGPASSFILE"),
        (
            format!("{} user=reader dbname=no", guarded.at("127.0.0.1")),
            "database \"no\" does not exist",
            "connection string",
        ),
        (
            "host=no.such.host.invalid user=u".to_owned(),
            "cannot connect to no.such.host.invalid",
            "network",
        ),
    ] {
        let told = refused(&guarded.check(&scratch, &url).run());
        assert!(told.len() == 1 && told[0].headline.contains(why), "{told:#?}");
        assert!(told[0].headline.contains("spec.toml: the source: "), "{told:#?}");
        assert!(
            told[0].hint.contains(hint) && !format!("{told:?}").contains("CANARY"),
            "{told:#?}"
        );
    }
}

#[test]
fn a_problem_of_several_specs_is_reported_once() {
    let scratch = Scratch::new();
    let spec = format!("{HEAD}{MAPPING}");
    std::fs::create_dir(scratch.path().join("none")).unwrap();
    std::fs::create_dir(scratch.path().join("twins")).unwrap();
    scratch.file("none/readme.md", "no spec");
    scratch.file("twins/a.toml", &spec);
    scratch.file("twins/b.toml", &spec);
    scratch.file("spec.toml", &spec);
    let locked = scratch.file("locked.toml", &spec);
    std::fs::remove_file(&locked).unwrap();
    std::os::unix::fs::symlink("locked.toml", &locked).unwrap();
    for (arguments, what, remedy) in [
        (&["missing.toml"][..], "spec missing.toml cannot be read", "Name a spec file"),
        (&["spec.toml", "missing.toml"], "spec missing.toml cannot be read", "Name a spec file"),
        (&["none"], "folder none holds no spec", ".toml"),
        (&["twins"], "two specs are named \"test\": twins/a.toml and twins/b.toml", "another name"),
        (
            &["spec.toml", "spec.toml"],
            "two specs are named \"test\": spec.toml and spec.toml",
            "another name",
        ),
        (&["locked.toml"], "spec locked.toml cannot be read", "Name a spec file"),
        (&["spec.toml", "--param", "x"], "--param takes NAME=VALUE", "For example"),
        (&["spec.toml", "--param", "x=1"], "no spec declares a parameter \"x\"", "[params]"),
        (&["spec.toml", "--param", "x=1", "--param", "x=2"], "parameter \"x\" is given twice", ""),
    ] {
        for verb in ["check", "plan", "compare"] {
            let program = Program::new().current_dir(scratch.path()).arg(verb).args(arguments);
            let nowhere = [("SOURCE_URL", "host=/nowhere"), ("TARGET_URL", "host=/nowhere")];
            let told = refused(&program.run_with(&nowhere));
            assert!(told.len() == 1 && told[0].headline.contains(what), "{arguments:?}: {told:#?}");
            assert!(told[0].hint.contains(remedy), "{arguments:?}: {told:#?}");
        }
    }
}
