//! How a run is going: bars on a terminal, a plain line every 10 s elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::args::When;
use super::ui::Ui;
use crate::event::{Event, Observer};
use crate::spec::printable;

/// A line is written no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress on stderr.
pub(super) struct ProgressDisplay {
    shows: DisplayMode,
    ui: Ui,
    mappings: Vec<MappingProgress>,
    last_line: Instant,
    open: u64,
}

enum DisplayMode {
    Bars(MultiProgress),
    Lines,
    Nothing,
}

struct MappingProgress {
    index: usize,
    name: String,
    rows: u64,
    estimated: Option<u64>,
    findings: u64,
    bar: Option<ProgressBar>,
}

impl ProgressDisplay {
    /// As asked for; on `auto`, bars if stderr is a terminal.
    pub(super) fn new(when: When, ui: &Ui) -> ProgressDisplay {
        let bars = match when {
            When::Auto => std::io::stderr().is_terminal(),
            When::Always => true,
            When::Never => false,
        };
        let shows = match (ui.quiet, when, bars) {
            (true, _, _) | (_, When::Never, _) => DisplayMode::Nothing,
            (_, _, true) if std::io::stderr().is_terminal() => DisplayMode::Bars(
                MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
            ),
            _ => DisplayMode::Lines,
        };
        ProgressDisplay {
            shows,
            ui: ui.clone(),
            mappings: Vec::new(),
            last_line: Instant::now(),
            open: 0,
        }
    }

    fn started(&mut self, index: usize, name: &str, estimated: Option<u64>) {
        let name = printable(name);
        let bar = match &self.shows {
            DisplayMode::Bars(bars) => {
                let bar = bars.add(match estimated {
                    Some(rows) => ProgressBar::new(rows),
                    None => ProgressBar::new_spinner(),
                });
                bar.set_style(style(estimated.is_some()));
                bar.set_prefix(name.clone());
                Some(bar)
            }
            DisplayMode::Lines | DisplayMode::Nothing => None,
        };
        self.mappings.push(MappingProgress { index, name, rows: 0, estimated, findings: 0, bar });
    }

    fn mapping(&mut self, index: usize) -> Option<&mut MappingProgress> {
        self.mappings.iter_mut().find(|mapping| mapping.index == index)
    }

    fn line(&mut self) {
        if !matches!(self.shows, DisplayMode::Lines) || self.last_line.elapsed() < LINE_EVERY {
            return;
        }
        self.last_line = Instant::now();
        for mapping in &self.mappings {
            let MappingProgress { name, rows, findings, .. } = mapping;
            let share = match mapping.estimated {
                Some(estimated) if estimated > 0 => {
                    format!(" ({:.0}%)", (*rows as f64 / estimated as f64 * 100.0).min(99.0))
                }
                _ => String::new(),
            };
            let open = self.open;
            self.ui.status(&format!(
                "{name}: {rows} rows{share}, {findings} findings, {open} to recheck"
            ));
        }
    }
}

/// With and without a length. They fit into 80 columns, or the lines would break and the bars tear.
const TEMPLATES: [&str; 2] = [
    "{prefix:14!} {wide_bar} {percent:>3}% {human_pos:>13} rows {rate:>9} {eta:>4} {msg:18!}",
    "{prefix:14!} {spinner} {human_pos:>13} rows {rate:>9} {msg:18!}",
];

fn style(has_length: bool) -> ProgressStyle {
    let template = TEMPLATES[usize::from(!has_length)];
    // The template is a constant: a unit test reads it.
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The bar has no way to say that it could not be drawn.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    })
}

impl Observer for ProgressDisplay {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::MappingStarted { mapping, name, estimated_rows } => {
                self.started(*mapping, name, *estimated_rows);
            }
            Event::ChunkFinished { mapping, rows, .. } => {
                let rows = rows.source.max(rows.target);
                if let Some(mapping) = self.mapping(*mapping) {
                    mapping.rows += rows;
                    if let Some(bar) = &mapping.bar {
                        if bar.length().is_some_and(|length| length < mapping.rows) {
                            bar.set_length(mapping.rows);
                        }
                        bar.set_position(mapping.rows);
                    }
                }
                self.line();
            }
            Event::RecheckFinished { open, .. } => {
                self.open = *open;
                // It is the whole run's count, so it stands once.
                let mut bars = self.mappings.iter().filter_map(|mapping| mapping.bar.as_ref());
                let last = bars.next_back();
                bars.for_each(|bar| bar.set_message(""));
                if let Some(bar) = last {
                    let text = if *open > 0 { format!("{open} to recheck") } else { String::new() };
                    bar.set_message(text);
                }
                self.line();
            }
            Event::Finding { mapping, finding } => {
                if let Some(mapping) = self.mapping(*mapping) {
                    mapping.findings += finding.rows();
                }
            }
            Event::MappingFinished { mapping, .. } => {
                if let Some(bar) = self.mapping(*mapping).and_then(|mapping| mapping.bar.take()) {
                    bar.finish_and_clear();
                }
                self.mappings.retain(|known| known.index != *mapping);
            }
            Event::PaceStarted { waits, reason, .. } => {
                let what = if *waits { "waiting" } else { "going slower" };
                self.note(&format!("{what}: {reason}"));
                self.say_beside(what);
            }
            Event::PaceFinished { .. } => self.say_beside(""),
            Event::Retried { side, reason } => {
                let side = side.map_or(String::new(), |side| format!("{side}: "));
                self.note(&format!("trying again: {side}{reason}"));
            }
            Event::Stopping { reason } => {
                self.note(&format!("{reason}: finishing what is in hand; once more stops at once"));
            }
            Event::RunFinished(_) => {
                if let DisplayMode::Bars(bars) = &self.shows {
                    // A terminal that is gone needs no clearing.
                    let _ = bars.clear();
                }
            }
            _ => {}
        }
    }
}

impl ProgressDisplay {
    /// Words beside the last bar, where there are bars.
    fn say_beside(&self, words: &str) {
        let mut bars = self.mappings.iter().filter_map(|mapping| mapping.bar.as_ref());
        if let Some(bar) = bars.next_back() {
            bar.set_message(words.to_owned());
        }
    }

    /// A line that does not tear the bars.
    fn note(&self, line: &str) {
        match &self.shows {
            DisplayMode::Bars(bars) => bars.suspend(|| self.ui.status(line)),
            DisplayMode::Lines => self.ui.status(line),
            DisplayMode::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_can_be_read() {
        for template in TEMPLATES {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
