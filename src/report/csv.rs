//! CSV: one line per differing column, for spreadsheets.
//!
//! NULL is an empty cell, an empty text is `""`. A cell that a spreadsheet would run as a formula
//! gets an apostrophe before it; plain numbers do not. On a terminal, control characters are shown
//! as escapes; a file or a pipe gets every value as it is.

use std::borrow::Cow;
use std::io::{self, Write};

use super::format::{EventWriter, Format};
use crate::event::Event;
use crate::finding::{Finding, FindingPlace, NamedValues};
use crate::spec::drives_terminal;
use crate::text::escape_to_one_line;

/// The format's entry in the list.
pub(super) static FORMAT: Format = Format {
    name: "csv",
    extension: Some("csv"),
    help: "A line per differing column",
    is_for_people: false,
    new_writer: |out, options| Box::new(Csv::new(out, options.is_terminal)),
};

/// Writes findings only: undecided ranges and summaries have no line.
struct Csv<W> {
    out: W,
    has_header: bool,
    is_terminal: bool,
}

const HEADER: &str = "mapping,kind,disposition,key,group,column,source,target,first_seen,runs\n";

impl<W: Write> Csv<W> {
    fn new(out: W, is_terminal: bool) -> Csv<W> {
        Csv { out, has_header: false, is_terminal }
    }

    /// Writes the header, unless that is done: a file has one, however many specs it is about.
    fn write_header(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_header, true) {
            self.out.write_all(HEADER.as_bytes())?;
        }
        Ok(())
    }

    fn write_line(&mut self, cells: [Option<&str>; 10]) -> io::Result<()> {
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.out.write_all(b",")?;
            }
            let escaped = cell.filter(|_| self.is_terminal).map(escape_to_one_line);
            if let Some(cell) = escaped.as_deref().or(cell) {
                self.out.write_all(quote(&defuse(cell)).as_bytes())?;
            }
        }
        self.out.write_all(b"\n")
    }

    fn write_finding(&mut self, finding: &Finding) -> io::Result<()> {
        let key = key_cell(finding)?;
        let runs = finding.runs.to_string();
        let group = finding.group.as_ref().and_then(Option::as_deref);
        let mut write = |column: Option<&str>, source: Option<&str>, target: Option<&str>| {
            self.write_line([
                Some(&finding.mapping),
                Some(finding.kind.name()),
                Some(finding.disposition().name()),
                Some(&key),
                group,
                column,
                source,
                target,
                Some(&finding.first_seen),
                Some(&runs),
            ])
        };
        if finding.columns.0.is_empty() {
            return write(None, None, None);
        }
        for (name, values) in &finding.columns.0 {
            if finding.keys_only {
                write(Some(name), None, None)?;
            } else {
                write(Some(name), values.source.as_deref(), values.target.as_deref())?;
            }
        }
        Ok(())
    }
}

/// Quotes a cell that needs it (RFC 4180), and an empty text, which the csv crate would write as it
/// writes NULL.
fn quote(cell: &str) -> Cow<'_, str> {
    if cell.is_empty() || cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\"")).into();
    }
    cell.into()
}

/// Puts an apostrophe before a cell that a spreadsheet would run as a formula.
fn defuse(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) { format!("'{cell}").into() } else { cell.into() }
}

fn is_formula(cell: &str) -> bool {
    // Spreadsheets may skip spaces, control characters, line breaks of any kind, and what has no width.
    let has_no_width = |c: char| matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    let is_skipped = |c: char| c == '\n' || drives_terminal(c) || has_no_width(c);
    let shown = cell.trim_start_matches(|c: char| c.is_whitespace() || is_skipped(c));
    let number = shown.strip_prefix(['-', '+']).unwrap_or(shown);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    // Some of them take the wide signs of East Asian text for the narrow ones.
    let first = ['\'', '=', '+', '-', '@', '＝', '＋', '－', '＠'];
    (shown.starts_with(first) && !is_number) || cell.starts_with(is_skipped)
}

/// Returns the cell of the key: the JSON object of the key, or of the range.
fn key_cell(finding: &Finding) -> io::Result<String> {
    #[derive(serde::Serialize)]
    struct RangeCell<'r> {
        after: &'r Option<NamedValues<String>>,
        through: &'r Option<NamedValues<String>>,
        rows: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        range_rows: Option<u64>,
    }
    Ok(match &finding.place {
        FindingPlace::Key(key) | FindingPlace::Duplicate(_, _, key) => serde_json::to_string(key)?,
        FindingPlace::Range(range, rows) => serde_json::to_string(&RangeCell {
            after: &range.after,
            through: &range.through,
            rows: *rows,
            range_rows: finding.range_rows,
        })?,
        FindingPlace::NullKey(..) => "{}".to_owned(),
    })
}

impl<W: Write + Send> EventWriter for Csv<W> {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunStarted(_) => self.write_header(),
            Event::Finding { finding, .. } => self.write_finding(finding),
            Event::MappingFinished { .. } => self.out.flush(),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.write_header()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> String {
        quote(&defuse(text)).into_owned()
    }

    fn line(cell: Option<&str>, is_terminal: bool) -> String {
        let mut csv = Csv::new(Vec::new(), is_terminal);
        csv.write_line([cell, None, None, None, None, None, None, None, None, None]).unwrap();
        String::from_utf8(csv.out).unwrap()
    }

    #[test]
    fn null_and_the_empty_text_differ() {
        assert_eq!(line(None, false), ",,,,,,,,,\n");
        assert_eq!(line(Some(""), false), "\"\",,,,,,,,,\n");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
    }

    #[test]
    fn values_are_escaped_on_a_terminal_and_exact_in_a_file() {
        let value = Some("\u{b}=a\u{1b}[31m\u{9b}\n\u{202e}b");
        let escaped = "\\u{b}=a\\u{1b}[31m\\u{9b}\\n\\u{202e}b,,,,,,,,,\n";
        assert_eq!(line(value, true), escaped);
        let exact = "\"'\u{b}=a\u{1b}[31m\u{9b}\n\u{202e}b\",,,,,,,,,\n";
        assert_eq!(line(value, false), exact);
    }

    #[test]
    fn formulas_are_defused_and_numbers_are_not() {
        for formula in [
            "=1+1",
            "+cmd",
            "-2+3",
            "@x",
            "\tx",
            "\rx",
            "\n=x",
            "\u{b}=x",
            "\u{c}=x",
            "\u{85}=x",
            "\u{feff}=x",
            "\u{2028}=x",
            "\u{202e}=x",
            "\u{200b}=x",
            " =x",
            "\u{a0} -2+3",
            "＝x",
            "'=x",
            "-",
            "+1e5|x",
        ] {
            assert!(cell(formula).trim_matches('"').starts_with('\''), "{formula}");
        }
        for plain in ["-5", "+5.25", "5", "a=1", "", "2026-01-01", " -5", " a"] {
            assert!(!cell(plain).contains('\''), "{plain}");
        }
    }
}
