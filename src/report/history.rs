//! Past runs for people: one line per run, the newest last, with what differs and what has changed.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::finding::{History, PastRun, VerifiedShare};
use crate::spec::printable;
use crate::text::{format_count, format_duration, format_number, format_percent};

/// The most runs shown; the JSON format holds all of them.
const MAX_RUNS: usize = 30;

const HEAD: [&str; 11] = [
    "started",
    "verdict",
    "rows",
    "only in\nsource",
    "only in\ntarget",
    "mis-\nmatch",
    "other",
    "new",
    "gone",
    "cover-\nage",
    "time",
];

/// Writes the runs of one spec.
///
/// # Errors
/// When it cannot be written.
pub fn write_history(out: &mut impl Write, history: &History, width: u16) -> io::Result<()> {
    let History { spec, runs, verified } = history;
    writeln!(out, "{}: {}", printable(spec), format_count(runs.len() as u64, "run"))?;
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(HEAD.map(Cell::new));
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let from = runs.len().saturating_sub(MAX_RUNS);
    if from > 0 {
        writeln!(out, "… {} before these", format_count(from as u64, "run"))?;
    }
    for run in &runs[from..] {
        table.add_row(cells(run));
    }
    if !runs.is_empty() {
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    let is_other = |run: &PastRun| run.scope != runs[runs.len() - 1].scope;
    let others = runs[from..].iter().filter(|run| is_other(run)).count();
    if others > 0 {
        writeln!(
            out,
            "{} of another spec or other parameters",
            format_count(others as u64, "run")
        )?;
    }
    if let Some(last) = runs.last() {
        write_trend(out, last)?;
    }
    for VerifiedShare { mapping, share, since } in verified {
        let (mapping, since) = (printable(mapping), format_minute(since));
        writeln!(out, "verified since {since}: {} of {mapping}", format_percent(*share))?;
    }
    out.flush()
}

/// Writes what became of the findings of the run before the last.
fn write_trend(out: &mut impl Write, last: &PastRun) -> io::Result<()> {
    let run = printable(&last.run);
    let Some(trend) = last.trend else { return writeln!(out, "last run: {run}") };
    let parts = [
        (trend.new, "new"),
        (trend.changed, "with other values"),
        (trend.same, "still the same"),
        (trend.gone, "gone"),
    ];
    let parts = parts.map(|(count, what)| format!("{} {what}", format_number(count)));
    writeln!(out, "last run: {run}; since the one before it: {}", parts.join(", "))
}

/// Returns a run's cells.
fn cells(run: &PastRun) -> Vec<String> {
    let found = |kind: &str| run.found_rows.get(kind).copied().unwrap_or(0);
    let kinds = ["only_in_source", "only_in_target", "mismatch"].map(found);
    let other = run.found_rows.values().sum::<u64>() - kinds.iter().sum::<u64>();
    let trend = |of: fn(&crate::finding::Trend) -> u64| {
        run.trend.as_ref().map_or_else(String::new, |trend| format_number(of(trend)))
    };
    let verb = if run.verb == "compare" { "" } else { " (again)" };
    let part =
        run.sample.clone().or_else(|| run.since.as_ref().map(|time| format!("since {time}")));
    let part = part.map_or(String::new(), |part| format!(" ({part})"));
    let verdict = match &run.summary {
        _ if run.damaged => "damaged",
        Some(summary) => summary.verdict.name(),
        None => "no end",
    };
    let time = run.summary.as_ref().map(|summary| Duration::from_millis(summary.elapsed_ms));
    vec![
        format_minute(&run.started_at),
        format!("{verdict}{part}{verb}"),
        format_number(run.rows.source.max(run.rows.target)),
        format_number(kinds[0]),
        format_number(kinds[1]),
        format_number(kinds[2]),
        format_number(other),
        trend(|trend| trend.new),
        trend(|trend| trend.gone),
        run.coverage.map_or_else(String::new, format_percent),
        time.map_or_else(String::new, format_duration),
    ]
}

/// Formats a time to the minute, in UTC. The year is left out.
fn format_minute(moment: &str) -> String {
    let minute = moment.get(5..16).unwrap_or(moment);
    format!("{}Z", printable(&minute.replace('T', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{SummaryRecord, Trend, Verdict};
    use crate::schema::BySide;

    #[test]
    fn the_last_line_shows_what_has_changed() {
        let run = |summary: Option<Verdict>, trend| PastRun {
            number: 1,
            run: "01J".into(),
            verb: "compare".into(),
            spec_hash: "h".into(),
            scope: "s".into(),
            started_at: "2026-11-22T06:00:03.123Z".into(),
            clocks: BySide::default(),
            resumed_at: Vec::new(),
            sample: None,
            slice: false,
            since: None,
            coverage: summary.map(|_| 0.99999),
            summary: summary.map(|verdict| SummaryRecord::new(verdict, 61_000)),
            rows: BySide { source: 12_000, target: 11_999 },
            findings: [("only_in_target".to_owned(), 1), ("accepted".to_owned(), 1)].into(),
            found_rows: [("only_in_target".to_owned(), 12_100), ("accepted".to_owned(), 1)].into(),
            damaged: false,
            trend,
        };
        let trend = Trend { new: 1, changed: 0, same: 3, gone: 1_200 };
        let runs = vec![run(None, None), run(Some(Verdict::Diverged), Some(trend))];
        let verified = vec![VerifiedShare {
            mapping: "t".into(),
            share: 1.0,
            since: "2026-11-22T06:00:03Z".into(),
        }];
        let history = History { spec: "tracking".into(), runs, verified };
        let mut out = Vec::new();
        write_history(&mut out, &history, 100).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        tracking: 2 runs
        started      verdict    rows only in only in  mis- other new  gone cover-  time
                                      source  target match                    age
        11-22 06:00Z no end   12,000       0  12,100     0     1
        11-22 06:00Z diverged 12,000       0  12,100     0     1   1 1,200  99.9% 1m01s
        last run: 01J; since the one before it: 1 new, 0 with other values, 3 still the same, 1,200 gone
        verified since 11-22 06:00Z: 100% of t
        ");
    }
}
