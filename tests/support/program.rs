//! The program as a process: its input and its output.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// The longest wait for a line on stderr.
const PATIENCE: Duration = Duration::from_secs(120);

/// A call of the program, in an empty environment.
pub struct Program {
    command: Command,
}

/// The exit code and the output of a call.
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
        // Without a ledger a test leaves no files, and runs of one spec do not lock each other out.
        command.env("PGRECONCILE_LEDGER", "off");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        Program { command }
    }

    pub fn env(mut self, name: &str, value: &str) -> Program {
        self.command.env(name, value);
        self
    }

    /// Removes a variable.
    pub fn without(mut self, name: &str) -> Program {
        self.command.env_remove(name);
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

    /// Runs it until it ends.
    pub fn run(mut self) -> Outcome {
        let output = self.command.output().expect("the program runs");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Runs it until it ends. Returns its peak resident memory in MiB too.
    pub fn run_measured(self) -> (Outcome, u64) {
        let running = self.start();
        let status = format!("/proc/{}/status", running.child.id());
        let mut peak = 0;
        // The kernel keeps the peak until the process is reaped; a zombie has none.
        while let Ok(text) = std::fs::read_to_string(&status) {
            let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else {
                break;
            };
            peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(peak);
            std::thread::park_timeout(Duration::from_millis(2));
        }
        (running.finish(), peak / 1024)
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

/// A running call, whose stderr is read line by line.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    stderr: String,
    stdout: JoinHandle<String>,
}

impl Program {
    /// Starts it.
    pub fn start(self) -> Running {
        let mut child = self.spawn();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut out = child.stdout.take().expect("a pipe");
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).expect("stdout is UTF-8");
            text
        });
        Running { child, lines, stderr: String::new(), stdout }
    }
}

impl Running {
    /// Waits for a line on stderr that contains these words. Fails if the program ends without it.
    pub fn await_line(&mut self, words: &str) {
        assert!(self.says(words), "no line contains \"{words}\":\n{}", self.stderr);
    }

    /// Waits for a line on stderr that contains these words. Returns false if the program ends
    /// without it.
    pub fn says(&mut self, words: &str) -> bool {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.stderr.push_str(&line);
            self.stderr.push('\n');
            if line.contains(words) {
                return true;
            }
        }
        false
    }

    /// Returns whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// Sends a signal: INT, TERM, KILL.
    pub fn signal(&self, name: &str) {
        let (signal, id) = (format!("-{name}"), self.child.id().to_string());
        assert!(Command::new("kill").args([signal, id]).status().expect("kill").success());
    }

    /// Waits until it has ended.
    pub fn finish(mut self) -> Outcome {
        let status = self.child.wait().expect("it ends");
        self.lines.iter().for_each(|line| {
            self.stderr.push_str(&line);
            self.stderr.push('\n');
        });
        Outcome {
            code: status.code().unwrap_or(-1),
            stdout: self.stdout.join().expect("stdout"),
            stderr: self.stderr,
        }
    }
}

impl Outcome {
    /// Returns the records of one type of a `jsonl` output.
    pub fn records(&self, kind: &str) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"))
            })
            .filter(|record| record["type"] == kind)
            .collect()
    }

    /// Returns the findings as `kind key [columns]`, sorted.
    pub fn findings(&self) -> Vec<String> {
        let mut findings: Vec<String> = self.records("finding").iter().map(told).collect();
        findings.sort();
        findings
    }

    /// Returns the groups by mapping as `mapping group verdict`, with the rows of each side and
    /// every count that is not 0.
    pub fn groups(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut mappings = self.records("mapping");
        mappings.sort_by_key(|mapping| mapping["mapping"].to_string());
        for mapping in mappings {
            for group in mapping["groups"].as_array().into_iter().flatten() {
                let mut line = format!(
                    "{} {} {} {}|{}",
                    mapping["mapping"].as_str().expect("a mapping"),
                    group["group"],
                    group["verdict"].as_str().expect("a verdict"),
                    group["rows"]["source"],
                    group["rows"]["target"]
                );
                let counts = group.as_object().expect("a group").iter();
                for (name, count) in counts.filter(|(_, count)| count.as_u64() > Some(0)) {
                    line.push_str(&format!(" {name}={count}"));
                }
                lines.push(line);
            }
        }
        lines
    }

    /// Returns the record of the only mapping.
    pub fn mapping(&self) -> Value {
        let mut mappings = self.records("mapping");
        assert_eq!(mappings.len(), 1, "{self:?}");
        mappings.remove(0)
    }

    /// Asserts the exit code. Shows the whole output if it is another.
    pub fn exits(&self, code: i32) -> &Outcome {
        assert_eq!(self.code, code, "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the row counts of every mapping add up.
    pub fn balances(&self) -> &Outcome {
        for mapping in self.records("mapping") {
            for side in ["source", "target"] {
                let books: BTreeMap<String, u64> =
                    serde_json::from_value(mapping["books"][side].clone()).expect("books");
                let judged: u64 =
                    books.iter().filter(|(name, _)| *name != "read").map(|(_, rows)| rows).sum();
                assert_eq!(books["read"], judged, "{mapping}");
                assert_eq!(mapping["rows"][side], books["read"], "{mapping}");
                if let Some(groups) = mapping["groups"].as_array() {
                    let rows = groups.iter().map(|group| group["rows"][side].as_u64().unwrap());
                    let unknown = mapping["ungrouped"][side].as_u64().unwrap_or(0);
                    assert_eq!(rows.sum::<u64>() + unknown, books["read"], "{mapping}");
                }
            }
        }
        self
    }
}

/// Formats a finding as one line: mapping, kind, key or range, and the columns with both values.
pub fn told(finding: &Value) -> String {
    let mut line = format!(
        "{} {}",
        finding["mapping"].as_str().expect("a mapping"),
        finding["kind"].as_str().expect("a kind")
    );
    if finding["disposition"] != "confirmed" {
        line.push_str(&format!(" ({})", finding["disposition"].as_str().expect("a disposition")));
    }
    if let Some(group) = finding.get("group") {
        line.push_str(&format!(" in {group}"));
    }
    for place in ["side", "key", "range", "rows", "range_rows"] {
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
    if let Some(reason) = finding.get("accept_reason") {
        line.push_str(&format!(" because {reason}"));
    }
    line
}
