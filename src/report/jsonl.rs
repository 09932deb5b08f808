//! JSON lines: one record per line, in the order of the events.

use std::io::{self, Write};

use serde::Serialize;

use super::format::{EventWriter, Format};
use super::json::write_json;
use crate::event::Event;

/// The format's entry in the list.
pub(super) static FORMAT: Format = Format {
    name: "jsonl",
    extension: Some("jsonl"),
    help: "One JSON object per line, as things happen",
    is_for_people: false,
    new_writer: |out, _| Box::new(JsonLines(out)),
};

/// Writes `run`, then `finding` and `undecided` as they come, `mapping` as each is done, `summary`.
struct JsonLines<W>(W);

impl<W: Write> JsonLines<W> {
    fn write_line(&mut self, record: &impl Serialize) -> io::Result<()> {
        write_json(&mut self.0, record)?;
        self.0.write_all(b"\n")
    }

    fn write_and_flush(&mut self, record: &impl Serialize) -> io::Result<()> {
        self.write_line(record)?;
        self.0.flush()
    }
}

impl<W: Write + Send> EventWriter for JsonLines<W> {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunStarted(run) => self.write_and_flush(run),
            Event::Finding { finding, .. } => self.write_line(finding),
            Event::Undecided(undecided) => self.write_line(undecided),
            Event::MappingFinished { record, .. } => self.write_and_flush(record),
            Event::RunFinished(summary) => self.write_and_flush(summary),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
