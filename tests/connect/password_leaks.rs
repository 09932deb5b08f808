//! Malformed connection strings, passed in every way: no output repeats a part of one.
//!
//! The password's position in such a string cannot be determined, so a marked word is put into
//! every part and may not appear anywhere. No server is needed: each call ends before it connects.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{CANARY, HEAD, MAPPING, Outcome, Program, Scratch, fault};

/// Strings that cannot be parsed, or contain a value that their keyword does not accept. `C` is the
/// marked word.
const MALFORMED: [&str; 34] = [
    "postgres://reader@127.0.0.1:1/d?password=abc&C=1",
    "postgres://reader@127.0.0.1:1/d?password=abc&C",
    "postgres://reader:123?C=x@127.0.0.1:1/d",
    "postgres://reader:123?host=C@127.0.0.1:1/d",
    "postgres://reader:12/C@127.0.0.1:1/d",
    "postgres://reader:first%zzC@127.0.0.1:1/d",
    "postgres://reader:C:1/d",
    "postgres://reader@[C/d",
    "postgres:/reader:C@127.0.0.1:1/d",
    "postgres:/reader:C@127.0.0.1:1/d?sslmode=disable",
    "postgresql:reader:C@127.0.0.1:1/d",
    "POSTGRES://reader:C@127.0.0.1:1/d",
    "mysql://reader:C@127.0.0.1:1/d?sslmode=disable",
    "reader:123?C=x@",
    "reader:C@127.0.0.1:1/d",
    "//reader:C@127.0.0.1:1/d",
    "host=127.0.0.1 port=1 user=u password=my C",
    "host=127.0.0.1 port=1 user=u password=my C=x",
    "host=127.0.0.1 port=1 user=u password='my'C dbname=x",
    "host=127.0.0.1 port=1 user=u password='my C",
    "host=127.0.0.1,password=C port=1 user=u",
    "host=127.0.0.1 port=1 user=u pasword=C",
    "host=127.0.0.1 port=1 user=u options='-c C=1'",
    "host=127.0.0.1 port=1 user=u sslmode=C",
    "host=127.0.0.1 port=C user=u",
    "host=127.0.0.1 hostaddr=C port=1 user=u",
    "host=127.0.0.1 port=1 user=u connect_timeout=C",
    "host=127.0.0.1 port=1 user=u keepalives_idle=C",
    "host=127.0.0.1 port=1 user=u tcp_user_timeout=C",
    "host=127.0.0.1 port=1 user=u target_session_attrs=C",
    "host=127.0.0.1 port=1 user=u channel_binding=C",
    "host=127.0.0.1 port=1 user=u sslmode=verify-full sslrootcert=C",
    "host=127.0.0.1 port=1 user=u sslmode=require sslcert=C sslkey=C",
    "service=C",
];

/// Asserts that no output of a call contains the marked word.
fn silent(outcome: &Outcome, context: &str) {
    outcome.exits(2);
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    for part in ["CANARY", "hunter2"] {
        assert!(!all.contains(part), "{context}\n{all}");
    }
}

/// Returns the names of everything in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Prepares a call in a folder with its own spec, `plain.toml`, whose sides come from variables.
fn call(scratch: &Scratch, args: &[&str]) -> Program {
    let good = "host=127.0.0.1 port=1 user=u connect_timeout=2";
    let program = Program::new().current_dir(scratch.path()).args(args);
    program.env("SOURCE_URL", good).env("TARGET_URL", good)
}

fn plain(scratch: &Scratch) -> String {
    let plain = format!("{HEAD}{MAPPING}");
    scratch.file("plain.toml", &plain);
    plain
}

#[test]
fn no_part_of_a_malformed_string_is_repeated() {
    let scratch = Scratch::new();
    let plain = plain(&scratch);
    let mut tries = 0;
    let loud = ["-vv", "--log-format", "json", "--format", "json", "--report", "r.json"];
    for text in MALFORMED {
        let text = text.replace('C', CANARY);
        // In the spec itself, in a variable that the spec names, and as the default of a variable.
        for side in [text.clone(), format!("${{NONE:-{text}}}")] {
            let literal =
                plain.replace("url = \"${SOURCE_URL}\"", &format!("url = \"\"\"{side}\"\"\""));
            assert_ne!(literal, plain);
            scratch.file("literal.toml", &literal);
            silent(&call(&scratch, &["check", "-vv", "literal.toml"]).run(), &side);
            tries += 1;
        }
        let compare = call(&scratch, &["compare", "plain.toml"]).args(&loud);
        silent(&compare.env("SOURCE_URL", &text).run(), &text);
        tries += 1;
    }
    fault::MALFORMED_STRING.tried(tries);
}

#[test]
fn a_ledger_or_a_path_that_looks_like_a_connection_is_refused() {
    let scratch = Scratch::new();
    plain(&scratch);
    let before = names(scratch.path());
    let mut tries = 0;
    for text in MALFORMED {
        let text = text.replace('C', CANARY);
        silent(&call(&scratch, &["history", "plain.toml", "--ledger", &text]).run(), &text);
        let compare = call(&scratch, &["compare", "plain.toml"]).env("PGRECONCILE_LEDGER", &text);
        silent(&compare.run(), &text);
        for args in [&["check"][..], &["compare", "plain.toml", "--report"], &["compare", "--jobs"]]
        {
            silent(&call(&scratch, args).arg(&text).run(), &format!("{args:?} {text}"));
            tries += 1;
        }
        tries += 2;
    }
    // The message shows the correct notation for each form.
    for (text, told) in [
        ("host=h dbname=d", "or postgres://USER@HOST/DATABASE"),
        ("h.example.com:5432/d", "a path such as ./ledger.db"),
        ("reader@h.example.com/d", "a path such as ./ledger.db"),
        ("postgres:/reader@h/d", "or postgres://USER@HOST/DATABASE"),
        ("postgres://h/d?sslmod=x", "did you mean \"sslmode\"?"),
    ] {
        let outcome = call(&scratch, &["history", "plain.toml", "--ledger", text]).run();
        assert!(outcome.exits(2).stderr.contains(told), "{text}\n{}", outcome.stderr);
        assert!(!outcome.stderr.contains(text), "{}", outcome.stderr);
    }
    assert_eq!(names(scratch.path()), before);
    fault::MALFORMED_ARGUMENT.tried(tries);
}

#[test]
fn no_value_of_a_variable_or_a_service_file_is_repeated() {
    let scratch = Scratch::new();
    plain(&scratch);
    let call =
        || call(&scratch, &["check", "-vv", "plain.toml"]).env("SOURCE_URL", "postgres://u@/d");
    for name in [
        "PGPORT",
        "PGHOSTADDR",
        "PGSSLMODE",
        "PGCONNECT_TIMEOUT",
        "PGCHANNELBINDING",
        "PGTARGETSESSIONATTRS",
        "PGSERVICE",
        "PGOPTIONS",
    ] {
        let program = call().env("PGHOST", "127.0.0.1").env("PGPORT", "1");
        silent(&program.env(name, CANARY).run(), name);
    }
    for name in ["PGSSLROOTCERT", "PGSSLCERT"] {
        let program = call().env("PGHOST", "127.0.0.1").env("PGSSLMODE", "verify-full");
        silent(&program.env("PGSSLKEY", CANARY).env(name, CANARY).run(), name);
    }
    for line in MALFORMED.iter().map(|line| line.replace('C', CANARY)) {
        for text in [line.clone(), line.replace(' ', "\n")] {
            let services = scratch.file("services", &format!("[a]\nport=1\nuser=u\n{text}\n"));
            let program = call().env("SOURCE_URL", "service=a host=127.0.0.1");
            silent(&program.env("PGSERVICEFILE", services.to_str().unwrap()).run(), &text);
        }
    }
    // A password file can contain anything.
    let text = format!("{CANARY}\n*:*:{CANARY}\n:::::\n\\{CANARY}:1:d:u:{CANARY}\n");
    let file = scratch.file("pgpass", &text);
    for mode in [0o600, 0o644] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let program = call().env("SOURCE_URL", "postgres://u@127.0.0.1:1/d");
        silent(&program.env("PGPASSFILE", file.to_str().unwrap()).run(), "pgpass");
    }
}
