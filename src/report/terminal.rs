//! The summary that people read: what differs, the table, the verdict, what to do next.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style as AnsiStyle};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::finding::lines_of;
use super::{Writer, groups, hints, paced};
use crate::finding::{
    Finding, MappingRecord, Named, NotRecalled, ReadAgain, Recurrence, RunRecord, SortKey,
    SummaryRecord, Undecided, Verdict,
};
use crate::schema::BySide;
use crate::spec::printable;
use crate::text::{
    escape_to_one_line, format_count, format_duration, format_key, format_number, format_percent,
};

/// How the summary looks.
#[derive(Clone, Debug)]
pub struct Style {
    /// Columns of the terminal.
    pub width: u16,
    /// Whether colour may be used.
    pub colour: bool,
    /// How to call this run again, as a command line.
    pub command: String,
    /// How to go on with an interrupted run of each spec whose runs a ledger has, by the specs' names.
    pub going_on: BTreeMap<String, String>,
    /// Whether a report file was asked for.
    pub reports: bool,
    /// Whether no ledger remembers the run, because none was wanted.
    pub forgotten: bool,
}

/// Findings shown of each mapping.
const SHOWN: usize = 10;
/// Hints shown of each mapping.
const SHOWN_HINTS: usize = 6;
/// Undecided ranges shown of each mapping.
const SHOWN_RANGES: usize = 3;

/// Writes the summary of each run when it is over.
pub struct Terminal<W> {
    out: W,
    style: Style,
    run: Option<RunRecord>,
    /// The mappings' names in the spec's order, as far as they have begun.
    order: BTreeMap<usize, String>,
    shown: Vec<Shown>,
    mappings: Vec<MappingRecord>,
    /// Whether the run can go on, if it left something out: not where a side has changed under way.
    can_go_on: Option<bool>,
}

/// What is shown of one mapping.
#[derive(Default)]
struct Shown {
    mapping: String,
    /// The first findings by key: which they are must not hang on which settled first.
    first: Vec<(SortKey, Vec<String>)>,
    findings: u64,
    /// Findings that the run before had with the same values, and those that came back.
    same: u64,
    returned: u64,
    ranges: Vec<String>,
    undecided: u64,
}

impl<W: Write> Terminal<W> {
    /// Writes to this.
    pub fn new(out: W, style: Style) -> Terminal<W> {
        Terminal {
            out,
            style,
            run: None,
            order: BTreeMap::new(),
            shown: Vec::new(),
            mappings: Vec::new(),
            can_go_on: None,
        }
    }

    fn shown(&mut self, mapping: &str) -> &mut Shown {
        let place = self.shown.iter().position(|shown| shown.mapping == mapping);
        let place = place.unwrap_or_else(|| {
            self.shown.push(Shown { mapping: mapping.to_owned(), ..Shown::default() });
            self.shown.len() - 1
        });
        &mut self.shown[place]
    }

    /// Where a mapping stands in the spec; what never began comes last.
    fn place(&self, mapping: &str) -> usize {
        let found = self.order.iter().find(|(_, name)| *name == mapping);
        found.map_or(usize::MAX, |(place, _)| *place)
    }

    fn painted(&self, text: &str, style: AnsiStyle) -> String {
        if self.style.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn differences(&mut self) -> io::Result<()> {
        let mut all = std::mem::take(&mut self.shown);
        all.sort_by_key(|shown| self.place(&shown.mapping));
        for shown in all {
            let Shown { mapping, first, findings, same, returned, ranges, undecided } = shown;
            let name = self.painted(&printable(&mapping), AnsiStyle::new().bold());
            if findings > 0 {
                writeln!(self.out, "{name}: {}", format_count(findings, "finding"))?;
                for line in first.iter().flat_map(|(_, lines)| lines) {
                    writeln!(self.out, "{line}")?;
                }
                if findings > SHOWN as u64 {
                    writeln!(self.out, "  … and {} more", format_number(findings - SHOWN as u64))?;
                }
                let all_shown = findings <= SHOWN as u64;
                let record = self.mappings.iter().find(|record| record.mapping == mapping);
                let hints = record.into_iter().flat_map(|record| &record.hints);
                for hint in hints.take(SHOWN_HINTS) {
                    for line in hints::lines_of(hint, all_shown, usize::from(self.style.width)) {
                        writeln!(self.out, "{line}")?;
                    }
                }
                for (count, what) in [
                    (same, "had the same values in the run before: structural, not lag"),
                    (returned, "came back after a run without: it comes and goes, as lag does"),
                ] {
                    if count > 0 {
                        writeln!(self.out, "  {} {what}", format_count(count, "finding"))?;
                    }
                }
                writeln!(self.out)?;
            }
            if undecided > 0 {
                writeln!(self.out, "{name}: {} not judged", format_count(undecided, "range"))?;
                for range in &ranges {
                    writeln!(self.out, "{range}")?;
                }
                if undecided > ranges.len() as u64 {
                    writeln!(
                        self.out,
                        "  … and {} more",
                        format_number(undecided - ranges.len() as u64)
                    )?;
                }
                writeln!(self.out)?;
            }
        }
        Ok(())
    }

    fn table(&mut self) -> io::Result<()> {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.style.width)
            .set_header(
                [
                    "mapping",
                    "rows",
                    "matched",
                    "healed",
                    "only in\nsource",
                    "only in\ntarget",
                    "mis-\nmatch",
                    "cover-\nage",
                    "rows/s",
                    "time",
                ]
                .map(Cell::new),
            );
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for mapping in &self.mappings {
            let rows = mapping.rows.source.max(mapping.rows.target);
            let elapsed = Duration::from_millis(mapping.elapsed_ms.max(1));
            table.add_row([
                printable(&mapping.mapping),
                format_number(rows),
                format_number(mapping.books.source.matched.max(mapping.books.target.matched)),
                format_number(mapping.healed),
                format_number(mapping.only_in_source),
                format_number(mapping.only_in_target),
                format_number(mapping.mismatch),
                format_percent(mapping.coverage),
                rate(rows, elapsed),
                format_duration(elapsed),
            ]);
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn remarks(&mut self) -> io::Result<()> {
        let mut remarks = Vec::new();
        if let Some(share) = self.run.as_ref().and_then(|run| run.sample.as_ref()) {
            remarks.push(format!("a sample of {share} of the keys: nothing is said of the others"));
        }
        if let Some(time) = self.run.as_ref().and_then(|run| run.since.as_ref()) {
            remarks.push(format!(
                "only keys of rows that changed within {time}: nothing is said of the others, and \
                 deletions are not seen"
            ));
        }
        for mapping in &self.mappings {
            let name = printable(&mapping.mapping);
            let BySide { source, target } = mapping.books;
            if mapping.empty {
                remarks.push(format!("{name} is empty: neither side has a row"));
            }
            for (what, rows) in [
                ("keys that stand more than once", source.duplicate + target.duplicate),
                ("a NULL in their key", source.null_key + target.null_key),
            ] {
                if rows > 0 {
                    remarks.push(format!("{name}: {} with {what}", format_count(rows, "row")));
                }
            }
            if mapping.accepted > 0 {
                remarks.push(format!("{name}: {} accepted", format_count(mapping.accepted, "row")));
            }
            for rule in &mapping.expired_accepts {
                let reason = escape_to_one_line(&rule.reason);
                remarks.push(format!("{name}: accepted until {} only: {reason}", rule.until));
            }
            if let Some(NotRecalled { findings, why }) = &mapping.not_recalled {
                let findings = format_count(*findings, "earlier finding");
                remarks.push(format!("{name}: {findings} not looked at first: {why}"));
            }
            if let Some(ReadAgain { damaged, chunks_kept }) = &mapping.read_again {
                let damaged = format_count(*damaged, "stored result");
                let what = match chunks_kept {
                    0 => "the mapping was read again from its start".to_owned(),
                    kept => format!(
                        "what they covered was read again, beside {} that {} not",
                        format_count(*kept, "chunk"),
                        if *kept == 1 { "was" } else { "were" }
                    ),
                };
                remarks.push(format!("{name}: {damaged} damaged in the ledger: {what}"));
            }
            if mapping.unsettled > 0 {
                remarks.push(format!(
                    "{name}: {} kept changing",
                    format_count(mapping.unsettled, "row")
                ));
            }
            if !mapping.complete
                && let Some(reason) = &mapping.reason
            {
                remarks.push(format!("{name} is not complete: {}", printable(reason)));
            }
        }
        if !remarks.is_empty() {
            writeln!(self.out)?;
        }
        for remark in remarks {
            writeln!(self.out, "{remark}")?;
        }
        Ok(())
    }

    fn next_command(&self, verdict: Verdict, spec: &str) -> Option<String> {
        let command = &self.style.command;
        let going_on = self.style.going_on.get(spec).filter(|_| self.can_go_on == Some(true));
        match verdict {
            Verdict::Clean => None,
            Verdict::Diverged if self.style.reports => None,
            Verdict::Diverged => Some(format!("{command} --report findings.jsonl")),
            Verdict::Incomplete => Some(going_on.unwrap_or(command).clone()),
        }
    }
}

impl<W: Write + Send> Writer for Terminal<W> {
    fn run(&mut self, run: &RunRecord) -> io::Result<()> {
        self.run = Some(run.clone());
        Ok(())
    }

    fn begins(&mut self, place: usize, mapping: &str) -> io::Result<()> {
        self.order.insert(place, mapping.to_owned());
        Ok(())
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let width = usize::from(self.style.width);
        let shown = self.shown(&finding.mapping);
        shown.findings += 1;
        match finding.recurrence {
            Some(Recurrence::Same) => shown.same += 1,
            Some(Recurrence::Returned) => shown.returned += 1,
            Some(Recurrence::Changed) | None => {}
        }
        let position = SortKey::of_finding(finding);
        let place = shown.first.partition_point(|(before, _)| *before <= position);
        if place < SHOWN {
            shown.first.insert(place, (position, lines_of(finding, width)));
            shown.first.truncate(SHOWN);
        }
        Ok(())
    }

    fn undecided(&mut self, undecided: &Undecided) -> io::Result<()> {
        let end = |key: &Option<Named<String>>, open: &str| {
            key.as_ref().map_or(open.to_owned(), format_key)
        };
        let from = end(&undecided.range.after, "the start");
        let to = end(&undecided.range.through, "the end");
        let line = format!("  after {from} through {to}: {}", printable(&undecided.reason));
        self.can_go_on = Some(self.can_go_on.unwrap_or(true) && !undecided.is_of_change());
        let shown = self.shown(&undecided.mapping);
        shown.undecided += 1;
        if shown.ranges.len() < SHOWN_RANGES {
            shown.ranges.push(line);
        }
        Ok(())
    }

    fn mapping(&mut self, mapping: &MappingRecord) -> io::Result<()> {
        self.mappings.push(mapping.clone());
        Ok(())
    }

    fn summary(&mut self, summary: &SummaryRecord) -> io::Result<()> {
        let mut mappings = std::mem::take(&mut self.mappings);
        mappings.sort_by_key(|mapping| self.place(&mapping.mapping));
        self.mappings = mappings;
        self.differences()?;
        self.table()?;
        for mapping in &self.mappings {
            groups::write(&mut self.out, mapping, self.style.width)?;
        }
        self.remarks()?;
        for line in paced::lines(summary) {
            writeln!(self.out, "{line}")?;
        }
        let (colour, said) = match summary.verdict {
            Verdict::Clean => {
                (AnsiColor::Green, "everything that was asked was compared, and agrees")
            }
            Verdict::Diverged => {
                (AnsiColor::Red, "everything that was asked was compared, and differs")
            }
            Verdict::Incomplete => {
                (AnsiColor::Yellow, "not everything that was asked was compared")
            }
        };
        let verdict = self.painted(summary.verdict.name(), colour.on_default().bold());
        let (spec, run) = match self.run.take() {
            Some(run) => (run.spec, run.run),
            None => Default::default(),
        };
        writeln!(self.out, "\n{}: {verdict}, {said}", printable(&spec))?;
        let elapsed = format_duration(Duration::from_millis(summary.elapsed_ms));
        let forgotten =
            if self.style.forgotten { "; no ledger: not remembered, not locked" } else { "" };
        writeln!(self.out, "run {run} took {elapsed}, exit code {}{forgotten}", summary.exit_code)?;
        if let Some(next) = self.next_command(summary.verdict, &spec) {
            writeln!(self.out, "next: {next}")?;
        }
        self.can_go_on = None;
        self.mappings.clear();
        self.order.clear();
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn rate(rows: u64, elapsed: Duration) -> String {
    let rate = rows as f64 / elapsed.as_secs_f64().max(1e-3);
    match rate {
        rate if rate >= 1e6 => format!("{:.1}M", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0}k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short() {
        assert_eq!(rate(2_000_000, Duration::from_secs(1)), "2.0M");
        assert_eq!(rate(20_000, Duration::from_secs(1)), "20k");
    }
}
