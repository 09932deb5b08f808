//! One JSON document: `{"run":…,"mappings":[…],"findings":[…],"undecided":[…],"summary":…}`, or an
//! array of them for several specs.
//!
//! Mappings come before findings in the document and are known only after them, so findings are
//! kept in a temporary file without a name; memory stays flat however many there are. Nothing is
//! written before the run's end: a run that another process resumes leaves no half of a document.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use serde::Serialize;

use super::format::{EventWriter, Format};
use crate::event::Event;
use crate::files::unnamed;
use crate::finding::{MappingRecord, SummaryRecord};
use crate::spec::escape_json;

/// The format's entry in the list.
pub(super) static FORMAT: Format = Format {
    name: "json",
    extension: Some("json"),
    help: "One JSON document",
    is_for_people: false,
    new_writer: |out, options| Box::new(Json::new(out, options.several)),
};

/// Writes a value as JSON in one line. What could drive a terminal is written as an escape; readers
/// get the same value.
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

/// Writes one document per run.
struct Json<W> {
    out: W,
    several: bool,
    documents: usize,
    /// The record of the current run, as JSON.
    run: Vec<u8>,
    mappings: Vec<MappingRecord>,
    findings: RecordFile,
    undecided: RecordFile,
}

/// Records with commas between them, in a temporary file.
#[derive(Default)]
struct RecordFile(Option<BufWriter<File>>);

impl RecordFile {
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

    fn move_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Some(file) = self.0.take() else { return Ok(()) };
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        io::copy(&mut file, out).map(drop)
    }
}

impl<W: Write> Json<W> {
    /// Makes a writer; several specs make an array.
    fn new(out: W, several: bool) -> Json<W> {
        Json {
            out,
            several,
            documents: 0,
            run: Vec::new(),
            mappings: Vec::new(),
            findings: RecordFile::default(),
            undecided: RecordFile::default(),
        }
    }
    /// Writes the document of the run that has ended.
    fn write_document(&mut self, summary: &SummaryRecord) -> io::Result<()> {
        if self.several {
            self.out.write_all(if self.documents == 0 { b"[" } else { b",\n" })?;
        }
        self.documents += 1;
        self.out.write_all(b"{\"run\":")?;
        self.out.write_all(&self.run)?;
        self.out.write_all(b",\"mappings\":")?;
        write_json(&mut self.out, &std::mem::take(&mut self.mappings))?;
        self.out.write_all(b",\"findings\":[")?;
        self.findings.move_to(&mut self.out)?;
        self.out.write_all(b"],\"undecided\":[")?;
        self.undecided.move_to(&mut self.out)?;
        self.out.write_all(b"],\"summary\":")?;
        write_json(&mut self.out, summary)?;
        self.out.write_all(b"}")
    }
}

impl<W: Write + Send> EventWriter for Json<W> {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunStarted(run) => {
                self.run.clear();
                write_json(&mut self.run, run)
            }
            Event::Finding { finding, .. } => self.findings.push(finding),
            Event::Undecided(undecided) => self.undecided.push(undecided),
            Event::MappingFinished { record, .. } => {
                self.mappings.push(record.as_ref().clone());
                Ok(())
            }
            Event::RunFinished(summary) => self.write_document(summary),
            _ => Ok(()),
        }
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
    use crate::finding::{NamedValues, RunRecord, Verdict};
    use crate::spec::drives_terminal;

    #[test]
    fn characters_that_drive_a_terminal_are_escaped() {
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

    /// Writes runs, each of which ends or is interrupted.
    fn written(several: bool, ends: &[bool]) -> String {
        let mut bytes = Vec::new();
        let mut json = Json::new(&mut bytes, several);
        for (number, ends) in ends.iter().enumerate() {
            let none = || String::new();
            let run =
                RunRecord::new(number.to_string(), "s", none(), none(), NamedValues(Vec::new()));
            json.write(&Event::RunStarted(run)).unwrap();
            if *ends {
                let summary = SummaryRecord::new(Verdict::Clean, 0);
                json.write(&Event::RunFinished(summary)).unwrap();
            }
        }
        json.finish().unwrap();
        drop(json);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_interrupted_run_leaves_no_half_of_a_document() {
        assert_eq!(written(false, &[false]), "");
        for (ends, documents) in [(&[true, false][..], 1), (&[false], 0), (&[true, true], 2)] {
            let all: serde_json::Value = serde_json::from_str(&written(true, ends)).unwrap();
            assert_eq!(all.as_array().unwrap().len(), documents);
        }
    }
}
