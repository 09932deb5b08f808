//! Messages: data goes to stdout, everything else to stderr.
//!
//! The grammar is PostgreSQL's: a lowercase line, then `detail:` and `hint:` with a sentence each.

use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::error::{ContextKind, ContextValue};

use super::args::{CommonArgs, When};
use super::exit::{Exit, STDOUT};
use crate::pg::PgError;
use crate::problem::Problem;
use crate::run::Trouble;
use crate::schema::Side;
use crate::spec::{
    Diagnostic, FileProblems, MOST_SHOWN, Severity, Spec, SpecText, holds_connection, printable,
    withhold,
};

/// Writes messages.
#[derive(Clone, Debug)]
pub(super) struct Ui {
    pub(super) quiet: bool,
    colour: ColorChoice,
}

impl Ui {
    /// Returns the terminal as the arguments of a verb set it.
    pub(super) fn new(common: &CommonArgs) -> Ui {
        Ui { quiet: common.quiet, ..Ui::coloured(common.color) }
    }

    /// Returns a terminal of which only the use of colour is set.
    pub(super) fn coloured(when: When) -> Ui {
        let colour = match when {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        };
        Ui { quiet: false, colour }
    }

    /// Returns whether stdout takes colour.
    pub(super) fn stdout_has_colour(&self) -> bool {
        self.has_colour(&std::io::stdout())
    }

    /// Returns stdout, which drops the colours of a text that it does not take.
    pub(super) fn stdout(&self) -> impl Write + use<> {
        AutoStream::new(std::io::stdout().lock(), self.colour)
    }

    fn has_colour(&self, stream: &impl anstream::stream::RawStream) -> bool {
        match self.colour {
            ColorChoice::Auto => AutoStream::choice(stream) != ColorChoice::Never,
            choice => choice != ColorChoice::Never,
        }
    }

    /// Returns the columns of the terminal on stdout, or 80.
    pub(super) fn width(&self) -> u16 {
        let stdout = std::io::stdout();
        let size = stdout.is_terminal().then(|| terminal_size::terminal_size_of(stdout)).flatten();
        size.map_or(80, |(width, _)| width.0)
    }

    fn write_line(&self, text: &str) {
        let mut stderr = AutoStream::new(std::io::stderr().lock(), self.colour);
        // If stderr is gone, there is nowhere to report it.
        let _ = writeln!(stderr, "{text}");
    }

    fn message(&self, severity: &str, colour: AnsiColor, problem: &Problem) {
        let style = Style::new().bold().fg_color(Some(colour.into()));
        let message = printable(&withhold(&problem.full_message()));
        let mut text = format!("{style}{severity}:{style:#} {message}");
        for (name, sentence) in [("detail", &problem.detail), ("hint", &problem.hint)] {
            if let Some(sentence) = sentence {
                let style = Style::new().bold();
                text.push_str(&format!("\n{style}{name}:{style:#} {}", printable(sentence)));
            }
        }
        self.write_line(&text);
    }

    /// Shows a problem as an error.
    pub(super) fn problem(&self, problem: &Problem) {
        self.message("error", AnsiColor::Red, problem);
    }

    /// Shows a problem as a warning.
    pub(super) fn problem_warning(&self, problem: &Problem) {
        if !self.quiet {
            self.message("warning", AnsiColor::Yellow, problem);
        }
    }

    /// Shows why a command failed, and returns its exit code. If the reader of stdout has gone
    /// away, that is no failure: it has read enough.
    pub(super) fn failure(&self, error: &anyhow::Error) -> Exit {
        let is_broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
            let error = cause.downcast_ref::<std::io::Error>();
            error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
        };
        if error.to_string() == STDOUT && error.chain().any(is_broken_pipe) {
            return Exit::Clean;
        }
        let problem = error.chain().find_map(|cause| cause.downcast_ref::<Problem>());
        self.problem(&Problem {
            detail: problem.and_then(|problem| problem.detail.clone()),
            hint: problem.and_then(|problem| problem.hint.clone()),
            ..Problem::new(format!("{error:#}"))
        });
        Exit::Trouble
    }

    /// Shows an error.
    pub(super) fn error(&self, message: &str, hint: Option<&str>) {
        self.problem(&problem(message, hint));
    }

    /// Shows a warning.
    pub(super) fn warning(&self, message: &str, hint: Option<&str>) {
        self.problem_warning(&problem(message, hint));
    }

    /// Shows what is being done.
    pub(super) fn status(&self, message: &str) {
        if !self.quiet {
            self.write_line(&printable(message));
        }
    }

    /// Shows problems of a spec with their places: the first `MOST_SHOWN`, then how many more there
    /// are.
    pub(super) fn diagnostics(&self, text: &SpecText, problems: &[Diagnostic]) {
        self.first_diagnostics(text, problems, 0);
    }

    /// Shows the problems of a spec's file.
    pub(super) fn file_problems(&self, text: &SpecText, problems: &FileProblems) {
        let FileProblems { first, more_errors, more_warnings } = problems;
        let more = if self.quiet { *more_errors } else { more_errors + more_warnings };
        self.first_diagnostics(text, first, more);
    }

    /// Shows the first problems and how many more there are, `more` of them not in the list.
    fn first_diagnostics(&self, text: &SpecText, problems: &[Diagnostic], more: usize) {
        let styled = self.has_colour(&std::io::stderr());
        let is_shown = |problem: &&Diagnostic| problem.severity == Severity::Error || !self.quiet;
        for problem in problems.iter().filter(is_shown).take(MOST_SHOWN) {
            self.write_line(&text.render(problem, styled));
            self.write_line("");
        }
        let more = more + problems.iter().filter(is_shown).count().saturating_sub(MOST_SHOWN);
        if more > 0 {
            self.write_line(&printable(&format!("… and {more} more in {}", text.path.display())));
        }
    }

    /// Shows why a spec cannot be run.
    pub(super) fn trouble(&self, text: &SpecText, trouble: &Trouble) {
        match trouble {
            Trouble::Spec(problems) => self.diagnostics(text, problems),
            Trouble::Server(side, error, known) => {
                self.diagnostics(text, known);
                self.server(*side, text, error);
            }
        }
    }

    fn server(&self, side: Side, text: &SpecText, error: &PgError) {
        let message = format!("{}: the {side}: {}", text.path.display(), error.message);
        let other = "Check url in the spec, the network and that the server runs.";
        self.error(&message, Some(error.hint.as_deref().unwrap_or(other)));
    }

    /// Warns of servers that were started since something was recorded: a restart, or a copy.
    pub(super) fn restarted(&self, sides: &[Side], since: &str) {
        for side in sides {
            let hint = "A restart or a failover is harmless. A file copy of the server that has been \
                        written to looks the same: check url in the spec.";
            self.warning(&format!("the server of the {side} was started {since}"), Some(hint));
        }
    }

    /// Shows the warnings of a spec and of its plans.
    pub(super) fn spec_warnings(&self, spec: &Spec, found: &[Diagnostic]) {
        self.diagnostics(&spec.text, &spec.warnings);
        self.diagnostics(&spec.text, found);
    }
}

/// Makes a problem of a message and a hint.
fn problem(message: &str, hint: Option<&str>) -> Problem {
    Problem { hint: hint.map(str::to_owned), ..Problem::new(message) }
}

/// Removes what may be a connection string from an error of clap, which repeats arguments and
/// variables.
fn without_connections(mut error: clap::Error) -> clap::Error {
    let value = || ContextValue::String("…".to_owned());
    let of_ledger = error.get(ContextKind::InvalidArg);
    let of_ledger = of_ledger.is_some_and(|arg| arg.to_string().starts_with("--ledger"));
    let hidden: Vec<ContextKind> = error
        .context()
        .filter(|(kind, value)| {
            let given = of_ledger && *kind == ContextKind::InvalidValue;
            *kind != ContextKind::Usage && (given || holds_connection(&value.to_string()))
        })
        .map(|(kind, _)| kind)
        .collect();
    for kind in hidden {
        match kind {
            ContextKind::Suggested => drop(error.remove(kind)),
            kind => drop(error.insert(kind, value())),
        }
    }
    error
}

/// Shows what clap returned: help, version or an error. An error is escaped: it repeats arguments.
pub(super) fn usage(error: clap::Error) -> Exit {
    let error = without_connections(error);
    // If the stream is gone, there is nowhere to report it.
    if error.use_stderr() {
        let text = printable(&error.render().to_string());
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let text = text.replacen("error:", &format!("{style}error:{style:#}"), 1);
        let _ = write!(anstream::stderr(), "{text}");
        Exit::Trouble
    } else {
        let _ = write!(anstream::stdout(), "{}", error.render().ansi());
        Exit::Clean
    }
}
