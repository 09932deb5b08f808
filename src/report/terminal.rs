//! The summary that people read: what differs, the table of mappings, the verdict, what to do next.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::finding::finding_lines;
use super::format::{Commands, EventWriter, Format, ReportOptions};
use super::{groups, hints, throttle};
use crate::event::Event;
use crate::finding::{
    Finding, MappingRecord, NamedValues, NotRecalled, ReadAgain, Recurrence, RunRecord, SortKey,
    SummaryRecord, Undecided, Verdict,
};
use crate::schema::BySide;
use crate::spec::printable;
use crate::text::{
    escape_to_one_line, format_count, format_duration, format_key, format_number, format_percent,
};

/// The format's entry in the list.
pub(super) static FORMAT: Format = Format {
    name: "terminal",
    extension: None,
    help: "A summary for people",
    is_for_people: true,
    new_writer: |out, options| Box::new(Summary::new(out, options.clone())),
};

/// The most findings shown of a mapping.
const MAX_FINDINGS: usize = 10;
/// The most hints shown of a mapping.
const MAX_HINTS: usize = 6;
/// The most undecided ranges shown of a mapping.
const MAX_RANGES: usize = 3;

/// Collects what a run finds, and writes the summary when the run is over.
struct Summary<W> {
    out: W,
    options: ReportOptions,
    run: Option<RunRecord>,
    /// The names of the mappings that have started, by their places in the spec.
    order: BTreeMap<usize, String>,
    excerpts: Vec<Excerpt>,
    mappings: Vec<MappingRecord>,
    /// Whether an incomplete run can be resumed: not if a side has changed while it ran.
    can_resume: Option<bool>,
}

/// What is shown of one mapping's findings and undecided ranges.
#[derive(Default)]
struct Excerpt {
    mapping: String,
    /// The first findings by key, so that the choice does not depend on the order of the events.
    first: Vec<(SortKey, Vec<String>)>,
    findings: u64,
    /// Findings that the run before had with the same values.
    same: u64,
    /// Findings that came back after a run without them.
    returned: u64,
    ranges: Vec<String>,
    undecided: u64,
}

impl<W: Write> Summary<W> {
    fn new(out: W, options: ReportOptions) -> Summary<W> {
        Summary {
            out,
            options,
            run: None,
            order: BTreeMap::new(),
            excerpts: Vec::new(),
            mappings: Vec::new(),
            can_resume: None,
        }
    }

    /// Returns the excerpt of a mapping; makes it if there is none yet.
    fn excerpt(&mut self, mapping: &str) -> &mut Excerpt {
        let place = self.excerpts.iter().position(|excerpt| excerpt.mapping == mapping);
        let place = place.unwrap_or_else(|| {
            self.excerpts.push(Excerpt { mapping: mapping.to_owned(), ..Excerpt::default() });
            self.excerpts.len() - 1
        });
        &mut self.excerpts[place]
    }

    /// Returns a mapping's place in the spec; the last for one that has not started.
    fn place(&self, mapping: &str) -> usize {
        let found = self.order.iter().find(|(_, name)| *name == mapping);
        found.map_or(usize::MAX, |(place, _)| *place)
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.options.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn write_differences(&mut self) -> io::Result<()> {
        let mut all = std::mem::take(&mut self.excerpts);
        all.sort_by_key(|excerpt| self.place(&excerpt.mapping));
        for excerpt in all {
            let Excerpt { mapping, first, findings, same, returned, ranges, undecided } = excerpt;
            let name = self.paint(&printable(&mapping), Style::new().bold());
            if findings > 0 {
                writeln!(self.out, "{name}: {}", format_count(findings, "finding"))?;
                for line in first.iter().flat_map(|(_, lines)| lines) {
                    writeln!(self.out, "{line}")?;
                }
                if findings > MAX_FINDINGS as u64 {
                    writeln!(
                        self.out,
                        "  … and {} more",
                        format_number(findings - MAX_FINDINGS as u64)
                    )?;
                }
                let all_shown = findings <= MAX_FINDINGS as u64;
                let record = self.mappings.iter().find(|record| record.mapping == mapping);
                let hints = record.into_iter().flat_map(|record| &record.hints);
                for hint in hints.take(MAX_HINTS) {
                    for line in hints::hint_lines(hint, all_shown, usize::from(self.options.width))
                    {
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

    fn write_table(&mut self) -> io::Result<()> {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.options.width)
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
                format_rate(rows, elapsed),
                format_duration(elapsed),
            ]);
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn write_remarks(&mut self) -> io::Result<()> {
        let mut remarks = Vec::new();
        if let Some(share) = self.run.as_ref().and_then(|run| run.sample.as_ref()) {
            remarks.push(format!("a sample of {share} of the keys: the others were not compared"));
        }
        if let Some(time) = self.run.as_ref().and_then(|run| run.since.as_ref()) {
            remarks.push(format!(
                "only keys of rows that changed within {time}: the others were not compared, \
                 and deletions are not found"
            ));
        }
        for mapping in &self.mappings {
            let name = printable(&mapping.mapping);
            let BySide { source, target } = mapping.books;
            if mapping.empty {
                remarks.push(format!("{name} is empty: neither side has a row"));
            }
            for (noun, rows) in [
                ("duplicate keys", source.duplicate + target.duplicate),
                ("a NULL in their key", source.null_key + target.null_key),
            ] {
                if rows > 0 {
                    remarks.push(format!("{name}: {} with {noun}", format_count(rows, "row")));
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
                remarks.push(format!("{name}: {findings} not rechecked first: {why}"));
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

    /// Returns the command line to suggest, if there is one.
    fn next_command(&self, verdict: Verdict, spec: &str) -> Option<String> {
        let Commands { again, resume } = &self.options.commands;
        match verdict {
            Verdict::Clean => None,
            Verdict::Diverged if self.options.has_files => None,
            Verdict::Diverged => Some(format!("{again} --report findings.jsonl")),
            Verdict::Incomplete => {
                let resume = resume.get(spec).filter(|_| self.can_resume == Some(true));
                Some(resume.unwrap_or(again).clone())
            }
        }
    }

    fn add_finding(&mut self, finding: &Finding) {
        let width = usize::from(self.options.width);
        let excerpt = self.excerpt(&finding.mapping);
        excerpt.findings += 1;
        match finding.recurrence {
            Some(Recurrence::Same) => excerpt.same += 1,
            Some(Recurrence::Returned) => excerpt.returned += 1,
            Some(Recurrence::Changed) | None => {}
        }
        let key = SortKey::of_finding(finding);
        let place = excerpt.first.partition_point(|(before, _)| *before <= key);
        if place < MAX_FINDINGS {
            excerpt.first.insert(place, (key, finding_lines(finding, width)));
            excerpt.first.truncate(MAX_FINDINGS);
        }
    }

    fn add_undecided(&mut self, undecided: &Undecided) {
        let end = |key: &Option<NamedValues<String>>, open: &str| {
            key.as_ref().map_or(open.to_owned(), format_key)
        };
        let from = end(&undecided.range.after, "the start");
        let to = end(&undecided.range.through, "the end");
        let line = format!("  after {from} through {to}: {}", printable(&undecided.reason));
        self.can_resume = Some(self.can_resume.unwrap_or(true) && !undecided.is_table_change());
        let excerpt = self.excerpt(&undecided.mapping);
        excerpt.undecided += 1;
        if excerpt.ranges.len() < MAX_RANGES {
            excerpt.ranges.push(line);
        }
    }

    fn write_summary(&mut self, summary: &SummaryRecord) -> io::Result<()> {
        let mut mappings = std::mem::take(&mut self.mappings);
        mappings.sort_by_key(|mapping| self.place(&mapping.mapping));
        self.mappings = mappings;
        self.write_differences()?;
        self.write_table()?;
        for mapping in &self.mappings {
            groups::write_groups(&mut self.out, mapping, self.options.width)?;
        }
        self.write_remarks()?;
        for line in throttle::throttle_lines(summary) {
            writeln!(self.out, "{line}")?;
        }
        self.write_verdict(summary)?;
        self.can_resume = None;
        self.mappings.clear();
        self.order.clear();
        self.out.flush()
    }

    fn write_verdict(&mut self, summary: &SummaryRecord) -> io::Result<()> {
        let (colour, meaning) = match summary.verdict {
            Verdict::Clean => (AnsiColor::Green, "everything requested was compared, and agrees"),
            Verdict::Diverged => (AnsiColor::Red, "everything requested was compared, and differs"),
            Verdict::Incomplete => (AnsiColor::Yellow, "not everything requested was compared"),
        };
        let verdict = self.paint(summary.verdict.name(), colour.on_default().bold());
        let (spec, run) = match self.run.take() {
            Some(run) => (run.spec, run.run),
            None => Default::default(),
        };
        writeln!(self.out, "\n{}: {verdict}, {meaning}", printable(&spec))?;
        let elapsed = format_duration(Duration::from_millis(summary.elapsed_ms));
        let no_ledger =
            if self.options.no_ledger { "; no ledger: not stored, not locked" } else { "" };
        writeln!(self.out, "run {run} took {elapsed}, exit code {}{no_ledger}", summary.exit_code)?;
        match self.next_command(summary.verdict, &spec) {
            Some(next) => writeln!(self.out, "next: {next}"),
            None => Ok(()),
        }
    }
}

impl<W: Write + Send> EventWriter for Summary<W> {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunStarted(run) => self.run = Some(run.clone()),
            Event::MappingStarted { mapping, name, .. } => {
                self.order.insert(*mapping, name.clone());
            }
            Event::Finding { finding, .. } => self.add_finding(finding),
            Event::Undecided(undecided) => self.add_undecided(undecided),
            Event::MappingFinished { record, .. } => self.mappings.push(record.as_ref().clone()),
            Event::RunFinished(summary) => return self.write_summary(summary),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Formats rows a second: `2.0M`, `20k`, `950`.
fn format_rate(rows: u64, elapsed: Duration) -> String {
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
        assert_eq!(format_rate(2_000_000, Duration::from_secs(1)), "2.0M");
        assert_eq!(format_rate(20_000, Duration::from_secs(1)), "20k");
    }
}
