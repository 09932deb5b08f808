//! One JSON document: `{"run":…,"mappings":[…],"findings":[…],"undecided":[…],"summary":…}`, or an
//! array of them for several specs.
//!
//! Mappings stand before findings and are known only after them, so findings wait in a temporary file
//! that has no name; memory stays flat however many there are.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use serde::Serialize;

use super::Writer;
use crate::files::unnamed;
use crate::finding::{Finding, MappingRecord, RunRecord, SummaryRecord, Undecided};

/// Writes one document.
pub struct Json<W> {
    out: W,
    several: bool,
    documents: usize,
    mappings: Vec<MappingRecord>,
    findings: Spool,
    undecided: Spool,
}

/// Records that wait, between commas.
#[derive(Default)]
struct Spool(Option<BufWriter<File>>);

impl Spool {
    fn push(&mut self, record: &impl Serialize) -> io::Result<()> {
        let file = match &mut self.0 {
            Some(file) => {
                file.write_all(b",")?;
                file
            }
            none => none.insert(BufWriter::new(unnamed()?)),
        };
        Ok(serde_json::to_writer(file, record)?)
    }

    fn pour(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Some(file) = self.0.take() else { return Ok(()) };
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        io::copy(&mut file, out).map(drop)
    }
}

impl<W: Write> Json<W> {
    /// Writes to this: an array if several specs follow.
    pub fn new(out: W, several: bool) -> Json<W> {
        Json {
            out,
            several,
            documents: 0,
            mappings: Vec::new(),
            findings: Spool::default(),
            undecided: Spool::default(),
        }
    }
}

impl<W: Write + Send> Writer for Json<W> {
    fn run(&mut self, run: &RunRecord) -> io::Result<()> {
        if self.several {
            self.out.write_all(if self.documents == 0 { b"[" } else { b",\n" })?;
        }
        self.documents += 1;
        self.out.write_all(b"{\"run\":")?;
        Ok(serde_json::to_writer(&mut self.out, run)?)
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        self.findings.push(finding)
    }

    fn undecided(&mut self, undecided: &Undecided) -> io::Result<()> {
        self.undecided.push(undecided)
    }

    fn mapping(&mut self, mapping: &MappingRecord) -> io::Result<()> {
        self.mappings.push(mapping.clone());
        Ok(())
    }

    fn summary(&mut self, summary: &SummaryRecord) -> io::Result<()> {
        self.out.write_all(b",\"mappings\":")?;
        serde_json::to_writer(&mut self.out, &std::mem::take(&mut self.mappings))?;
        self.out.write_all(b",\"findings\":[")?;
        self.findings.pour(&mut self.out)?;
        self.out.write_all(b"],\"undecided\":[")?;
        self.undecided.pour(&mut self.out)?;
        self.out.write_all(b"],\"summary\":")?;
        serde_json::to_writer(&mut self.out, summary)?;
        self.out.write_all(b"}")
    }

    fn finish(&mut self) -> io::Result<()> {
        match (self.several, self.documents) {
            (true, 0) => self.out.write_all(b"[]\n")?,
            (true, _) => self.out.write_all(b"]\n")?,
            (false, _) => self.out.write_all(b"\n")?,
        }
        self.out.flush()
    }
}
