//! One JSON document: `{"run":…,"mappings":[…],"findings":[…],"undecided":[…],"summary":…}`, or an
//! array of them for several specs.
//!
//! Mappings stand before findings and are known only after them, so findings wait in a temporary file
//! that has no name; memory stays flat however many there are. Nothing of a document is written before
//! its run has come to its end: a run that another process goes on with leaves no half of one.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use serde::Serialize;

use super::Writer;
use crate::files::unnamed;
use crate::finding::{Finding, MappingRecord, RunRecord, SummaryRecord, Undecided};
use crate::spec::escape_json;

/// Writes a value as JSON in one line. What could drive a terminal is written as an escape; it is the
/// same value to whatever reads it.
///
/// # Errors
/// When it cannot be written.
pub fn write_json<W: Write>(mut out: W, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    out.write_all(escape_json(&serde_json::to_string(value)?).as_bytes())
}

/// Writes a value as JSON in lines for people, escaped as by [`write_json`].
///
/// # Errors
/// When it cannot be written.
pub fn write_pretty_json<W: Write>(
    mut out: W,
    value: &(impl Serialize + ?Sized),
) -> io::Result<()> {
    out.write_all(escape_json(&serde_json::to_string_pretty(value)?).as_bytes())
}

/// Writes one document.
pub struct Json<W> {
    out: W,
    several: bool,
    documents: usize,
    /// The record of the run that is under way, as JSON.
    run: Vec<u8>,
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
        write_json(file, record)
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
            run: Vec::new(),
            mappings: Vec::new(),
            findings: Spool::default(),
            undecided: Spool::default(),
        }
    }
}

impl<W: Write + Send> Writer for Json<W> {
    fn run(&mut self, run: &RunRecord) -> io::Result<()> {
        self.run.clear();
        write_json(&mut self.run, run)
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
        if self.several {
            self.out.write_all(if self.documents == 0 { b"[" } else { b",\n" })?;
        }
        self.documents += 1;
        self.out.write_all(b"{\"run\":")?;
        self.out.write_all(&self.run)?;
        self.out.write_all(b",\"mappings\":")?;
        write_json(&mut self.out, &std::mem::take(&mut self.mappings))?;
        self.out.write_all(b",\"findings\":[")?;
        self.findings.pour(&mut self.out)?;
        self.out.write_all(b"],\"undecided\":[")?;
        self.undecided.pour(&mut self.out)?;
        self.out.write_all(b"],\"summary\":")?;
        write_json(&mut self.out, summary)?;
        self.out.write_all(b"}")
    }

    fn finish(&mut self) -> io::Result<()> {
        match (self.several, self.documents) {
            (true, 0) => self.out.write_all(b"[]\n")?,
            (true, _) => self.out.write_all(b"]\n")?,
            (false, 0) => {}
            (false, _) => self.out.write_all(b"\n")?,
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Named, Verdict};
    use crate::spec::drives_terminal;

    #[test]
    fn what_drives_a_terminal_is_escaped_and_the_value_stays() {
        let texts =
            "a\u{7f}\u{80}\u{9b}2J\u{9f}\u{a0}\u{61c}\u{200e}\u{2028}\u{202e}\u{2069}\u{1b}\"\\b\n";
        for pretty in [false, true] {
            let mut out = Vec::new();
            match pretty {
                true => write_pretty_json(&mut out, &[texts]).unwrap(),
                false => write_json(&mut out, &[texts]).unwrap(),
            }
            let json = String::from_utf8(out).unwrap();
            assert!(!json.replace('\n', "").contains(drives_terminal), "{json:?}");
            assert!(json.contains("\\u009b2J\\u009f\u{a0}\\u061c"), "{json}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [texts]);
        }
    }

    /// What is written of runs, each of which ends or is broken off.
    fn written(several: bool, ends: &[bool]) -> String {
        let mut bytes = Vec::new();
        let mut json = Json::new(&mut bytes, several);
        for (number, ends) in ends.iter().enumerate() {
            let none = || String::new();
            let run = RunRecord::new(number.to_string(), "s", none(), none(), Named(Vec::new()));
            json.run(&run).unwrap();
            if *ends {
                json.summary(&SummaryRecord::new(Verdict::Clean, 0)).unwrap();
            }
        }
        json.finish().unwrap();
        drop(json);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_run_that_is_broken_off_leaves_no_half_of_a_document() {
        assert_eq!(written(false, &[false]), "");
        for (ends, documents) in [(&[true, false][..], 1), (&[false], 0), (&[true, true], 2)] {
            let all: serde_json::Value = serde_json::from_str(&written(true, ends)).unwrap();
            assert_eq!(all.as_array().unwrap().len(), documents);
        }
    }
}
