//! The progress of a run: bars on a terminal, otherwise a line every 10 s.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::args::When;
use super::ui::Ui;
use crate::event::{Event, Observer};
use crate::spec::printable;

/// The shortest time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows progress on stderr.
pub(super) struct ProgressDisplay {
    mode: DisplayMode,
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
    /// Makes the display that `--progress` asks for; `auto` means bars if stderr is a terminal.
    pub(super) fn new(when: When, ui: &Ui) -> ProgressDisplay {
        let bars = match when {
            When::Auto => std::io::stderr().is_terminal(),
            When::Always => true,
            When::Never => false,
        };
        let mode = match (ui.quiet, when, bars) {
            (true, _, _) | (_, When::Never, _) => DisplayMode::Nothing,
            (_, _, true) if std::io::stderr().is_terminal() => DisplayMode::Bars(
                MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
            ),
            _ => DisplayMode::Lines,
        };
        ProgressDisplay {
            mode,
            ui: ui.clone(),
            mappings: Vec::new(),
            last_line: Instant::now(),
            open: 0,
        }
    }

    fn start_mapping(&mut self, index: usize, name: &str, estimated: Option<u64>) {
        let name = printable(name);
        let bar = match &self.mode {
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

    fn write_progress_line(&mut self) {
        if !matches!(self.mode, DisplayMode::Lines) || self.last_line.elapsed() < LINE_INTERVAL {
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

/// Templates with and without a length. They fit into 80 columns: wrapped lines would break the
/// bars.
const TEMPLATES: [&str; 2] = [
    "{prefix:14!} {wide_bar} {percent:>3}% {human_pos:>13} rows {rate:>9} {eta:>4} {msg:18!}",
    "{prefix:14!} {spinner} {human_pos:>13} rows {rate:>9} {msg:18!}",
];

fn style(has_length: bool) -> ProgressStyle {
    let template = TEMPLATES[usize::from(!has_length)];
    // A unit test checks that the templates are valid.
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The bar has no way to report an error.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    })
}

impl Observer for ProgressDisplay {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::MappingStarted { mapping, name, estimated_rows } => {
                self.start_mapping(*mapping, name, *estimated_rows);
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
                self.write_progress_line();
            }
            Event::RecheckFinished { open, .. } => {
                self.open = *open;
                // The count is that of the whole run, so only the last bar shows it.
                let mut bars = self.mappings.iter().filter_map(|mapping| mapping.bar.as_ref());
                let last = bars.next_back();
                bars.for_each(|bar| bar.set_message(""));
                if let Some(bar) = last {
                    let text = if *open > 0 { format!("{open} to recheck") } else { String::new() };
                    bar.set_message(text);
                }
                self.write_progress_line();
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
                let what = if *waits { "waiting" } else { "throttled" };
                self.write_line(&format!("{what}: {reason}"));
                self.show_beside(what);
            }
            Event::PaceFinished { .. } => self.show_beside(""),
            Event::Retried { side, reason } => {
                let side = side.map_or(String::new(), |side| format!("{side}: "));
                self.write_line(&format!("retrying: {side}{reason}"));
            }
            Event::Stopping { reason } => {
                self.write_line(&format!(
                    "{reason}: finishing chunks in flight; another signal stops at once"
                ));
            }
            Event::RunFinished(_) => {
                if let DisplayMode::Bars(bars) = &self.mode {
                    // If the terminal is gone, there is nothing to clear.
                    let _ = bars.clear();
                }
            }
            _ => {}
        }
    }
}

impl ProgressDisplay {
    /// Shows a text beside the last bar.
    fn show_beside(&self, words: &str) {
        let mut bars = self.mappings.iter().filter_map(|mapping| mapping.bar.as_ref());
        if let Some(bar) = bars.next_back() {
            bar.set_message(words.to_owned());
        }
    }

    /// Writes a line without breaking the bars.
    fn write_line(&self, line: &str) {
        match &self.mode {
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
    fn both_templates_are_valid() {
        for template in TEMPLATES {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
