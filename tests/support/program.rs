//! The program as a process: what goes in, what comes out.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// A call of the program, in an empty environment.
pub struct Program {
    command: Command,
}

/// A call that goes on.
pub struct Running {
    pid: u32,
    ended: mpsc::Receiver<Output>,
}

/// What a call came to.
#[derive(Debug)]
#[must_use = "look at what came of it"]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub fn new() -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgreconcile"));
        command.env_clear().env("HOME", "/nonexistent").env("USER", "nobody").stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        Program { command }
    }

    pub fn env(mut self, name: &str, value: &str) -> Program {
        self.command.env(name, value);
        self
    }

    pub fn current_dir(mut self, folder: &Path) -> Program {
        self.command.current_dir(folder);
        self
    }

    pub fn arg(mut self, arg: &str) -> Program {
        self.command.arg(arg);
        self
    }

    pub fn args(mut self, args: &[&str]) -> Program {
        self.command.args(args);
        self
    }

    /// Runs it with these variables as well.
    pub fn run_with(self, variables: &[(&str, &str)]) -> Outcome {
        variables.iter().fold(self, |program, (name, value)| program.env(name, value)).run()
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Outcome {
        self.command.output().expect("the program runs").into()
    }

    /// Starts it and leaves it running.
    pub fn start(self) -> Running {
        let child = self.spawn();
        let pid = child.id();
        let (tell, ended) = mpsc::channel();
        // Its pipes are read as they fill, or it would wait for us.
        std::thread::spawn(move || tell.send(child.wait_with_output().expect("it can be waited for")));
        Running { pid, ended }
    }

    /// Starts it; stdout and stderr can be read.
    pub fn spawn(mut self) -> std::process::Child {
        self.command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs")
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

impl Running {
    /// Sends it a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(sent.success(), "SIG{name} cannot be sent");
    }

    /// Waits for its end; one that goes on for longer is killed, and that is the failure.
    pub fn ends_within(self, limit: Duration) -> Outcome {
        match self.ended.recv_timeout(limit) {
            Ok(output) => output.into(),
            Err(_) => {
                self.signal("KILL");
                let outcome: Outcome = self.ended.recv().expect("it ends").into();
                panic!("still running after {limit:?}\n{}\n{}", outcome.stdout, outcome.stderr);
            }
        }
    }
}

impl Outcome {
    /// The records of a `jsonl` output of one type.
    pub fn records(&self, kind: &str) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"))
            })
            .filter(|record| record["type"] == kind)
            .collect()
    }

    /// Findings as `kind key [columns]`, sorted.
    pub fn findings(&self) -> Vec<String> {
        let mut findings: Vec<String> = self.records("finding").iter().map(told).collect();
        findings.sort();
        findings
    }

    /// The record of the only mapping.
    pub fn mapping(&self) -> Value {
        let mut mappings = self.records("mapping");
        assert_eq!(mappings.len(), 1, "{self:?}");
        mappings.remove(0)
    }

    /// Asserts the exit code, showing everything if it is another.
    pub fn exits(&self, code: i32) -> &Outcome {
        assert_eq!(self.code, code, "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the books of every mapping balance.
    pub fn balances(&self) -> &Outcome {
        for mapping in self.records("mapping") {
            for side in ["source", "target"] {
                let books: BTreeMap<String, u64> =
                    serde_json::from_value(mapping["books"][side].clone()).expect("books");
                let judged: u64 =
                    books.iter().filter(|(name, _)| *name != "read").map(|(_, rows)| rows).sum();
                assert_eq!(books["read"], judged, "{mapping}");
                assert_eq!(mapping["rows"][side], books["read"], "{mapping}");
            }
        }
        self
    }
}

/// A finding on one line: mapping, kind, where, and the columns with both values.
pub fn told(finding: &Value) -> String {
    let mut line = format!(
        "{} {}",
        finding["mapping"].as_str().expect("a mapping"),
        finding["kind"].as_str().expect("a kind")
    );
    if finding["disposition"] != "confirmed" {
        line.push_str(&format!(" ({})", finding["disposition"].as_str().expect("a disposition")));
    }
    for place in ["side", "key", "range", "rows"] {
        match &finding[place] {
            Value::Null => {}
            Value::String(text) => line.push_str(&format!(" {text}")),
            value => line.push_str(&format!(" {value}")),
        }
    }
    if let Some(columns) = finding["columns"].as_object() {
        for (name, values) in columns {
            line.push_str(&format!(" {name}: {} | {}", values["source"], values["target"]));
        }
    }
    line
}
