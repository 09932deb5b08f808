//! CSV: one line per differing column, for spreadsheets.
//!
//! NULL is an empty cell, an empty text is `""`. A cell that a spreadsheet would run as a formula
//! gets an apostrophe before it; plain numbers do not. On a terminal, control characters are shown as
//! escapes; a file or a pipe gets every value as it is.

use std::io::{self, Write};

use super::Writer;
use crate::finding::{Finding, MappingRecord, Named, Place, RunRecord, SummaryRecord, Undecided};
use crate::text::escape_to_one_line;

/// Writes findings only: undecided ranges and summaries have no line.
pub struct Csv<W> {
    out: W,
    headed: bool,
    on_terminal: bool,
}

const HEADER: &str = "mapping,kind,disposition,key,group,column,source,target,first_seen,runs\n";

impl<W: Write> Csv<W> {
    /// Writes to this.
    pub fn new(out: W) -> Csv<W> {
        Csv { out, headed: false, on_terminal: false }
    }

    /// The same for a terminal: no cell can drive it.
    pub fn on_terminal(out: W) -> Csv<W> {
        Csv { on_terminal: true, ..Csv::new(out) }
    }

    fn head(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.headed, true) {
            self.out.write_all(HEADER.as_bytes())?;
        }
        Ok(())
    }

    fn line(&mut self, cells: [Option<&str>; 10]) -> io::Result<()> {
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.out.write_all(b",")?;
            }
            let escaped = cell.filter(|_| self.on_terminal).map(escape_to_one_line);
            self.out.write_all(&quoted(escaped.as_deref().or(cell))?)?;
        }
        self.out.write_all(b"\n")
    }
}

/// One cell, quoted where needed; nothing for NULL.
fn quoted(cell: Option<&str>) -> io::Result<Vec<u8>> {
    let Some(cell) = cell else { return Ok(Vec::new()) };
    let defused = if is_formula(cell) { format!("'{cell}") } else { cell.to_owned() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([defused])?;
    let mut bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    bytes.pop();
    Ok(bytes)
}

fn is_formula(cell: &str) -> bool {
    let number = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    // Some spreadsheets take the wide signs of East Asian text for the narrow.
    // And control characters, line breaks of any kind among them, they may skip.
    let first = ['\'', '=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let skipped = |c: char| c.is_control() || c == '\u{feff}';
    (cell.starts_with(first) || cell.starts_with(skipped)) && !is_number
}

/// The key cell: the JSON object of the key, or of the range.
fn key_cell(finding: &Finding) -> io::Result<String> {
    #[derive(serde::Serialize)]
    struct Range<'r> {
        after: &'r Option<Named<String>>,
        through: &'r Option<Named<String>>,
        rows: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        range_rows: Option<u64>,
    }
    Ok(match &finding.place {
        Place::Key(key) | Place::Duplicate(_, _, key) => serde_json::to_string(key)?,
        Place::Range(range, rows) => serde_json::to_string(&Range {
            after: &range.after,
            through: &range.through,
            rows: *rows,
            range_rows: finding.range_rows,
        })?,
        Place::NullKey(..) => "{}".to_owned(),
    })
}

impl<W: Write + Send> Writer for Csv<W> {
    fn run(&mut self, _: &RunRecord) -> io::Result<()> {
        self.head()
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let key = key_cell(finding)?;
        let runs = finding.runs.to_string();
        let group = finding.group.as_ref().and_then(Option::as_deref);
        let mut line = |column: Option<&str>, source: Option<&str>, target: Option<&str>| {
            self.line([
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
            return line(None, None, None);
        }
        for (name, values) in &finding.columns.0 {
            if finding.keys_only {
                line(Some(name), None, None)?;
            } else {
                line(Some(name), values.source.as_deref(), values.target.as_deref())?;
            }
        }
        Ok(())
    }

    fn undecided(&mut self, _: &Undecided) -> io::Result<()> {
        Ok(())
    }

    fn mapping(&mut self, _: &MappingRecord) -> io::Result<()> {
        self.out.flush()
    }

    fn summary(&mut self, _: &SummaryRecord) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.head()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: Option<&str>) -> String {
        String::from_utf8(quoted(text).unwrap()).unwrap()
    }

    #[test]
    fn null_empty_and_quotes_are_told_apart() {
        assert_eq!(cell(None), "");
        assert_eq!(cell(Some("")), "\"\"");
        assert_eq!(cell(Some("a,\"b\"\n")), "\"a,\"\"b\"\"\n\"");
    }

    #[test]
    fn a_cell_on_a_terminal_is_shown_and_a_cell_in_a_file_is_exact() {
        let line = |mut csv: Csv<Vec<u8>>| {
            let cell = Some("\u{b}=a\u{1b}[31m\u{9b}\n\u{202e}b");
            csv.line([cell, None, None, None, None, None, None, None, None, None]).unwrap();
            String::from_utf8(csv.out).unwrap()
        };
        let shown = line(Csv::on_terminal(Vec::new()));
        assert_eq!(shown, "\\u{b}=a\\u{1b}[31m\\u{9b}\\n\\u{202e}b,,,,,,,,,\n");
        let exact = line(Csv::new(Vec::new()));
        assert_eq!(exact, "\"'\u{b}=a\u{1b}[31m\u{9b}\n\u{202e}b\",,,,,,,,,\n");
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
            "＝x",
            "'=x",
            "-",
            "+1e5|x",
        ] {
            assert!(cell(Some(formula)).trim_matches('"').starts_with('\''), "{formula}");
        }
        for plain in ["-5", "+5.25", "5", "a=1", "", "2026-01-01"] {
            assert!(!cell(Some(plain)).contains('\''), "{plain}");
        }
    }
}
