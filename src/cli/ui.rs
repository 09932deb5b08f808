//! Where words go: data to stdout, everything else to stderr.
//!
//! Message grammar is PostgreSQL's: a lowercase line, then `hint:` with a sentence.

use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::error::{ContextKind, ContextValue};

use super::args::{CommonArgs, When};
use super::exit::Exit;
use crate::pg::PgError;
use crate::problem::Problem;
use crate::run::Trouble;
use crate::schema::Side;
use crate::spec::{
    Diagnostic, FileProblems, MOST_SHOWN, Severity, Spec, SpecText, holds_connection, printable,
    withhold,
};

/// The terminal, or what stands for it.
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

    /// Whether stdout takes colour.
    pub(super) fn colours_stdout(&self) -> bool {
        self.colours(&std::io::stdout())
    }

    /// Returns stdout, which drops the colours of a text that it does not take.
    pub(super) fn stdout(&self) -> impl Write + use<> {
        AutoStream::new(std::io::stdout().lock(), self.colour)
    }

    fn colours(&self, stream: &impl anstream::stream::RawStream) -> bool {
        match self.colour {
            ColorChoice::Auto => AutoStream::choice(stream) != ColorChoice::Never,
            choice => choice != ColorChoice::Never,
        }
    }

    /// Columns of the terminal on stdout; 80 where there is none.
    pub(super) fn width(&self) -> u16 {
        let stdout = std::io::stdout();
        let size = stdout.is_terminal().then(|| terminal_size::terminal_size_of(stdout)).flatten();
        size.map_or(80, |(width, _)| width.0)
    }

    fn say(&self, text: &str) {
        let mut stderr = AutoStream::new(std::io::stderr().lock(), self.colour);
        // There is nowhere to complain to when stderr is gone.
        let _ = writeln!(stderr, "{text}");
    }

    fn message(&self, word: &str, colour: AnsiColor, message: &str, hint: Option<&str>) {
        let style = Style::new().bold().fg_color(Some(colour.into()));
        let mut text = format!("{style}{word}:{style:#} {}", printable(&withhold(message)));
        if let Some(hint) = hint {
            let style = Style::new().bold();
            text.push_str(&format!("\n{style}hint:{style:#} {}", printable(hint)));
        }
        self.say(&text);
    }

    /// Shows a problem with its causes, detail and hint.
    pub(super) fn problem(&self, problem: &Problem) {
        self.error(&problem.full_message(), problem.hint.as_deref());
    }

    /// Says what went wrong.
    pub(super) fn error(&self, message: &str, hint: Option<&str>) {
        self.message("error", AnsiColor::Red, message, hint);
    }

    /// Says what is worth knowing.
    pub(super) fn warning(&self, message: &str, hint: Option<&str>) {
        if !self.quiet {
            self.message("warning", AnsiColor::Yellow, message, hint);
        }
    }

    /// Says how things go.
    pub(super) fn status(&self, message: &str) {
        if !self.quiet {
            self.say(&printable(message));
        }
    }

    /// Shows problems of a spec in their places: the first `MOST_SHOWN`, then how many more there are.
    pub(super) fn diagnostics(&self, text: &SpecText, problems: &[Diagnostic]) {
        self.first_diagnostics(text, problems, 0);
    }

    /// Shows what is wrong with a spec's file.
    pub(super) fn file_problems(&self, text: &SpecText, problems: &FileProblems) {
        let FileProblems { first, more_errors, more_warnings } = problems;
        let more = if self.quiet { *more_errors } else { more_errors + more_warnings };
        self.first_diagnostics(text, first, more);
    }

    /// The same where there are this many more behind them.
    fn first_diagnostics(&self, text: &SpecText, problems: &[Diagnostic], more: usize) {
        let styled = self.colours(&std::io::stderr());
        let loud = |problem: &&Diagnostic| problem.severity == Severity::Error || !self.quiet;
        for problem in problems.iter().filter(loud).take(MOST_SHOWN) {
            self.say(&text.render(problem, styled));
            self.say("");
        }
        let more = more + problems.iter().filter(loud).count().saturating_sub(MOST_SHOWN);
        if more > 0 {
            self.say(&printable(&format!("… and {more} more in {}", text.path.display())));
        }
    }

    /// Says why a spec cannot be run.
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

    /// Warns of servers that were started since something was noted: a restart, or a copy.
    pub(super) fn restarted(&self, sides: &[Side], since: &str) {
        for side in sides {
            let hint = "A restart or a failover is no matter. A file copy of the server that has been \
                        written to cannot be told from it: check url in the spec.";
            self.warning(&format!("the server of the {side} was started {since}"), Some(hint));
        }
    }

    /// Warns of what planning has found.
    pub(super) fn spec_warnings(&self, spec: &Spec, found: &[Diagnostic]) {
        self.diagnostics(&spec.text, &spec.warnings);
        self.diagnostics(&spec.text, found);
    }
}

/// Takes out of an error of clap's what may be a connection string: it repeats arguments and variables.
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

/// Shows what clap says; help and version are no errors. An error may also hold what drives a terminal.
pub(super) fn usage(error: clap::Error) -> Exit {
    let error = without_connections(error);
    // There is nowhere to complain to when the stream is gone.
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
