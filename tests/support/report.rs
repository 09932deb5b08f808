//! A comparison whose sides differ, and the contents of its reports.

use std::path::Path;
use std::process::{Command, Stdio};

use pgreconcile::schema::Side;
use serde_json::Value;

use super::pair::Pair;
use super::program::{Outcome, Program};

/// Returns two sides with rows that match, and one finding of each kind.
pub fn diverged() -> Pair {
    let tables = "create table t (id int primary key, v text, n numeric(10, 2));
        create table d (k int, v text);";
    let pair = Pair::new(tables, tables);
    let rows = "insert into t select n, 'v' || n, n from generate_series(1, 5) n;
        insert into d values (1, 'a');";
    for side in Side::BOTH {
        pair.sql(side, rows);
    }
    pair.sql(
        Side::Source,
        "delete from t where id = 5; update t set v = null, n = -2 where id = 2",
    );
    pair.sql(
        Side::Target,
        "delete from t where id = 4; insert into d values (1, 'a'), (null, 'x')",
    );
    pair
}

/// The mappings of both tables of [`diverged`].
pub const BOTH: &str = "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n\
                    [[mapping]]\nkey = [\"k\"]\n[mapping.source]\ntable = \"public.d\"\n[mapping.target]\ntable = \"public.d\"\n";

/// Returns a call of `compare` with `settle = 0`.
pub fn compare(pair: &Pair, spec: &Path) -> Program {
    pair.program().args(&["compare", spec.to_str().unwrap(), "--settle", "0s"])
}

/// Returns the names of an object's fields, in order.
pub fn names(object: &Value) -> String {
    object.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// Parses JSON.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Reads a file of the pair's folder.
pub fn read(pair: &Pair, name: &str) -> String {
    std::fs::read_to_string(pair.scratch.path().join(name)).unwrap()
}

/// Runs a shell script in the pair's folder; `$BIN` is the program.
pub fn in_shell(pair: &Pair, script: &str) -> Outcome {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(pair.scratch.path()).stdin(Stdio::null());
    command.env("BIN", env!("CARGO_BIN_EXE_pgreconcile")).env("PGRECONCILE_LEDGER", "off");
    for (name, side) in [("SOURCE_URL", Side::Source), ("TARGET_URL", Side::Target)] {
        command.env(name, pair.url(side));
    }
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
