//! A psql session that stays open: an application's transaction, or a script that is killed in the
//! middle.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::round_trip::RoundTrip;
use crate::support::cluster;

pub struct PsqlSession {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl PsqlSession {
    /// Connects to the written side.
    pub fn open(round: &RoundTrip) -> PsqlSession {
        let cluster = &round.pair.clusters[round.written];
        let mut child = Command::new(cluster::binaries().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-h"])
            .arg(cluster.socket())
            .args(["-p", &cluster.port.to_string(), "-U", "postgres", "-d", &round.pair.database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        PsqlSession { child, input, output }
    }

    /// Runs a part of a script completely. Returns false if psql ends before.
    pub fn run(&mut self, text: &str) -> bool {
        self.send(text);
        self.send("\\echo :::here\n");
        self.output.by_ref().lines().map_while(Result::ok).any(|line| line == ":::here")
    }

    /// Sends a part of a script without waiting for its result.
    pub fn send(&mut self, text: &str) {
        let _ = self.input.write_all(text.as_bytes()).and_then(|()| self.input.flush());
    }

    /// Kills psql.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Waits until a session waits for a lock, or sleeps before it tries again.
pub fn await_blocked(round: &RoundTrip) {
    let blocked = "select count(*) > 0 from pg_stat_activity where datname = current_database()
        and (wait_event_type = 'Lock' or wait_event = 'PgSleep')";
    round.pair.clusters.target.await_answer(&round.pair.database, blocked, "t");
}
