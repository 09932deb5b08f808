//! What the README's examples run on: the quickstart's two databases, and a folder with its files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::documents::{Block, blocks_in};
use crate::support::{Cluster, Program, Scratch, Settings};

/// Two servers with the quickstart's databases, as a reader of the README has them.
pub struct Quickstart {
    pub monolith: Cluster,
    pub tracking: Cluster,
    pub scratch: Scratch,
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|_| panic!("no {path}"))
}

/// Returns whether a block is a script.
fn is_script(block: &Block) -> bool {
    block.text.starts_with("#!")
}

impl Quickstart {
    pub fn new() -> Quickstart {
        let start = |name: &str| {
            let cluster = Cluster::start(Settings::default());
            cluster.sql("postgres", &format!("create database {name}"));
            cluster.sql(name, &read(&format!("examples/quickstart/{name}.sql")));
            cluster
        };
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path().join("specs")).unwrap();
        scratch.file("specs/tracking.toml", &read("specs/tracking.toml"));
        for block in blocks_in("toml") {
            scratch.file(block.file_name(), &block.text);
        }
        for block in blocks_in("sh").iter().filter(|block| is_script(block)) {
            let script = scratch.file(block.file_name(), &block.text);
            std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Quickstart { monolith: start("monolith"), tracking: start("tracking"), scratch }
    }

    /// Returns the variables that the README's specs name, for this role.
    pub fn variables(&self, role: &str) -> [(&'static str, String); 3] {
        [
            ("MONOLITH_URL", self.monolith.url(role, "monolith")),
            ("TRACKING_URL", self.tracking.url(role, "tracking")),
            // No application writes here, so a difference need not settle for long.
            ("PGRECONCILE_SETTLE", "1s".to_owned()),
        ]
    }

    /// Returns a call of the program in the folder of the README's files.
    pub fn program(&self, role: &str) -> Program {
        let program = Program::new().current_dir(self.scratch.path());
        let set = |program: Program, (name, value): (&str, String)| program.env(name, &value);
        self.variables(role).into_iter().fold(program, set)
    }

    /// Returns a shell in that folder, with the program in its path and no other variables.
    pub fn shell(&self, script: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_pgreconcile")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("bash");
        shell.args(["-c", script]).current_dir(self.scratch.path());
        shell.env_clear().env("PATH", path).env("HOME", self.scratch.path());
        shell.envs(self.variables("reader"));
        shell
    }

    /// Runs a block. Returns the output of each command, stdout and stderr together, as on a
    /// terminal.
    pub fn play(&self, block: &Block) -> Vec<String> {
        let mut script = "exec 2>&1\n".to_owned();
        for command in block.commands() {
            // The next command can read the exit code of each.
            script.push_str(&format!("{}\ncode=$?; printf '\\036'; (exit $code)\n", command.line));
        }
        let output = self.shell(&script).output().expect("bash");
        let said = String::from_utf8(output.stdout).unwrap();
        let mut parts: Vec<String> = said.split('\u{1e}').map(str::to_owned).collect();
        parts.pop();
        parts
    }
}
