//! JSON lines: one record a line, as things happen.

use std::io::{self, Write};

use serde::Serialize;

use super::Writer;
use super::json::write_json;
use crate::finding::{Finding, MappingRecord, RunRecord, SummaryRecord, Undecided};

/// Writes `run`, then `finding` and `undecided` as they come, `mapping` as each is done, `summary`.
pub struct Jsonl<W>(W);

impl<W: Write> Jsonl<W> {
    /// Writes to this.
    pub fn new(out: W) -> Jsonl<W> {
        Jsonl(out)
    }

    fn line(&mut self, record: &impl Serialize) -> io::Result<()> {
        write_json(&mut self.0, record)?;
        self.0.write_all(b"\n")
    }
}

impl<W: Write + Send> Writer for Jsonl<W> {
    fn run(&mut self, run: &RunRecord) -> io::Result<()> {
        self.line(run)?;
        self.0.flush()
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        self.line(finding)
    }

    fn undecided(&mut self, undecided: &Undecided) -> io::Result<()> {
        self.line(undecided)
    }

    fn mapping(&mut self, mapping: &MappingRecord) -> io::Result<()> {
        self.line(mapping)?;
        self.0.flush()
    }

    fn summary(&mut self, summary: &SummaryRecord) -> io::Result<()> {
        self.line(summary)?;
        self.0.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
