//! The log: events as lines on stderr. No other file uses tracing.
//!
//! `-v` logs runs, mappings, findings and problems, `-vv` also every chunk and recheck. A line
//! never holds a row's values: findings are logged by mapping and kind.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::args::{CommonArgs, LogFormat};
use crate::event::{Event, Observer};
use crate::spec::escape_json;

/// Stderr for lines of JSON. What could drive a terminal is written as an escape; lines of text have
/// theirs from the formatter.
struct Escaped(io::Stderr);

impl Write for Escaped {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = escape_json(&String::from_utf8_lossy(line)).into_owned();
        self.0.write_all(text.as_bytes()).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes events as log lines.
pub(super) struct Log;

impl Log {
    /// Starts the log if `-v` is given. Only this program's lines are written: those of the driver
    /// could hold texts of a server. `--quiet` turns the log off.
    pub(super) fn start(common: &CommonArgs) -> Option<Log> {
        let level = match common.verbose {
            _ if common.quiet => return None,
            0 => return None,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        };
        let own = tracing_subscriber::filter::Targets::new().with_target("pgreconcile", level);
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
        let registry = tracing_subscriber::registry().with(own);
        let started = match common.log_format {
            LogFormat::Text => registry.with(lines).try_init(),
            LogFormat::Json => {
                let lines = lines.json().flatten_event(true);
                registry.with(lines.with_writer(|| Escaped(io::stderr()))).try_init()
            }
        };
        started.ok().map(|()| Log)
    }
}

impl Observer for Log {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::RunStarted(run) => {
                tracing::info!(target: "pgreconcile", run = run.run, spec = run.spec, "run started");
            }
            Event::MappingStarted { name, estimated_rows, .. } => {
                tracing::info!(target: "pgreconcile", mapping = name, estimated_rows, "mapping started");
            }
            Event::MappingResumed { mapping, chunks, rows } => {
                tracing::info!(target: "pgreconcile", mapping, chunks, rows, "mapping resumed");
            }
            Event::ChunkStarted { mapping, chunk } => {
                tracing::debug!(target: "pgreconcile", mapping, chunk, "chunk started");
            }
            Event::ChunkFinished { mapping, chunk, rows, candidates, elapsed } => tracing::debug!(
                target: "pgreconcile",
                mapping,
                chunk,
                source_rows = rows.source,
                target_rows = rows.target,
                candidates,
                elapsed_ms = elapsed.as_millis() as u64,
                "chunk finished"
            ),
            Event::RecheckStarted { batch, candidates } => {
                tracing::debug!(target: "pgreconcile", batch, candidates, "recheck started");
            }
            Event::RecheckFinished { batch, open } => {
                tracing::debug!(target: "pgreconcile", batch, open, "recheck finished");
            }
            Event::Retried { side, reason } => {
                let side = side.map(|side| side.name());
                tracing::warn!(target: "pgreconcile", side, reason, "retrying");
            }
            Event::PaceStarted { period, waits, reason } => {
                tracing::info!(target: "pgreconcile", period, waits, reason, "throttled");
            }
            Event::PaceFinished { period, elapsed } => tracing::info!(
                target: "pgreconcile",
                period,
                elapsed_ms = elapsed.as_millis() as u64,
                "no longer throttled"
            ),
            Event::Finding { finding, .. } => tracing::info!(
                target: "pgreconcile",
                mapping = finding.mapping,
                kind = finding.kind.name(),
                disposition = finding.disposition().name(),
                rows = finding.rows(),
                "finding"
            ),
            Event::Undecided(undecided) => tracing::warn!(
                target: "pgreconcile",
                mapping = undecided.mapping,
                reason = undecided.reason,
                "a range is undecided"
            ),
            Event::MappingFinished { record, .. } => tracing::info!(
                target: "pgreconcile",
                mapping = record.mapping,
                source_rows = record.rows.source,
                target_rows = record.rows.target,
                complete = record.complete,
                elapsed_ms = record.elapsed_ms,
                "mapping finished"
            ),
            Event::Stopping { reason } => tracing::warn!(target: "pgreconcile", reason, "stopping"),
            Event::RunFinished(summary) => tracing::info!(
                target: "pgreconcile",
                verdict = summary.verdict.name(),
                exit_code = summary.exit_code,
                elapsed_ms = summary.elapsed_ms,
                longest_transaction_ms = summary.longest_transaction_ms,
                "run finished"
            ),
        }
    }
}
