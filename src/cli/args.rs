//! Arguments that several verbs share.

use std::path::{Path, PathBuf};

use clap::builder::{BoolishValueParser, PathBufValueParser, TypedValueParser};
use clap::{ArgAction, Args, ValueEnum};

use crate::ledger::{LedgerSetting, Location};
use crate::pg::{Conninfo, SslMode};
use crate::problem::Problem;
use crate::spec::{StrategyChoice, holds_connection};

/// Arguments of all verbs.
#[derive(Args, Clone, Debug)]
pub(super) struct CommonArgs {
    /// Write only errors to stderr, and no terminal summary
    #[arg(long, short, env = "PGRECONCILE_QUIET", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, help_heading = "Output")]
    pub(super) quiet: bool,

    /// Log events to stderr; twice for every chunk
    #[arg(long, short, env = "PGRECONCILE_VERBOSE", action = ArgAction::Count, help_heading = "Output")]
    pub(super) verbose: u8,

    /// Format of log lines
    #[arg(
        long,
        value_name = "FORMAT",
        env = "PGRECONCILE_LOG_FORMAT",
        default_value = "text",
        help_heading = "Output"
    )]
    pub(super) log_format: LogFormat,

    /// Whether to use colour
    #[arg(
        long,
        value_name = "WHEN",
        env = "PGRECONCILE_COLOR",
        default_value = "auto",
        help_heading = "Output"
    )]
    pub(super) color: When,

    /// Where runs are stored: a file, a PostgreSQL database that many machines share, or off; by
    /// default in .pgreconcile beside the spec
    #[arg(long, value_name = "URL|PATH|off", env = "PGRECONCILE_LEDGER", value_parser = parse_ledger, help_heading = "Run")]
    ledger: Option<LedgerSetting>,

    /// The ledger as the command line names it, without a password. What the environment names, it
    /// will name in the next call too.
    #[arg(skip)]
    pub(super) given_ledger: Option<String>,
}

impl CommonArgs {
    /// Returns where runs are stored.
    pub(super) fn ledger(&self) -> LedgerSetting {
        self.ledger.clone().unwrap_or(LedgerSetting::Beside)
    }

    /// Records the ledger that the command line names.
    pub(super) fn record_given_ledger(&mut self, matches: &clap::ArgMatches) {
        if matches.value_source("ledger") == Some(clap::parser::ValueSource::CommandLine) {
            self.given_ledger = match &self.ledger {
                None | Some(LedgerSetting::Beside) => None,
                Some(LedgerSetting::Off) => Some("off".to_owned()),
                Some(LedgerSetting::At(Location::File(path))) => Some(path.display().to_string()),
                Some(LedgerSetting::At(Location::Database(url))) => public_url(url),
            };
        }
    }
}

/// Specs and their parameters.
#[derive(Args, Clone, Debug)]
pub(super) struct SpecArgs {
    /// Spec files, or folders of them
    #[arg(value_name = "SPEC", required = true, value_parser = path())]
    pub(super) specs: Vec<PathBuf>,

    /// Set a parameter of the spec (repeatable)
    #[arg(
        long = "param",
        value_name = "NAME=VALUE",
        env = "PGRECONCILE_PARAM",
        help_heading = "What to compare"
    )]
    pub(super) params: Vec<String>,

    /// Only this mapping (repeatable)
    #[arg(
        long = "mapping",
        value_name = "NAME",
        env = "PGRECONCILE_MAPPING",
        help_heading = "What to compare"
    )]
    pub(super) mappings: Vec<String>,
}

/// How the result of a command is shown that is no report of a run.
#[derive(Args, Clone, Debug)]
pub(super) struct ResultArgs {
    /// How the result is shown
    #[arg(
        long,
        value_name = "FORMAT",
        env = "PGRECONCILE_FORMAT",
        default_value = "terminal",
        help_heading = "Output"
    )]
    pub(super) format: ResultFormat,
}

/// The format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ResultFormat {
    /// Text for people.
    Terminal,
    /// One JSON document.
    Json,
}

/// When to use colour or progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// If the stream is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Returns a connection string without secrets that can be used again, with its `sslmode`.
fn public_url(url: &str) -> Option<String> {
    let info = Conninfo::parse(url).ok()?;
    let known = |mode: &&str| SslMode::parse(mode).is_ok();
    let tls = info.get("sslmode").filter(known).map(|mode| format!("?sslmode={mode}"));
    Some(format!("postgresql://{}{}", info.place(), tls.unwrap_or_default()))
}

/// The hint for a value of --ledger that is neither a database nor a path.
const LEDGER_FORMS: &str = "write \"off\", a path such as ./ledger.db, or \
                            postgres://USER@HOST/DATABASE";

/// Parses where runs are stored. postgres:// or postgresql:// starts a connection string, which
/// must be valid. Anything else must look like a path: a bare word such as `none` would become a
/// file of that name, and so would a connection string without its scheme.
fn parse_ledger(text: &str) -> Result<LedgerSetting, Problem> {
    if text == "off" {
        return Ok(LedgerSetting::Off);
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return match Conninfo::parse(text) {
            Ok(_) => Ok(LedgerSetting::At(Location::Database(text.to_owned()))),
            Err(error) => Err(Problem::new(error.to_string())),
        };
    }
    let rooted = Path::new(text).is_absolute() && !text.starts_with("//");
    let rooted = rooted || text.starts_with("./") || text.starts_with("../");
    let path = if rooted { true } else { !text.contains([':', '@', '=', '?', '&']) };
    if !path || holds_connection(text) || !text.contains(['/', '.']) {
        return Err(Problem::new(LEDGER_FORMS));
    }
    Ok(LedgerSetting::At(Location::File(text.into())))
}

/// Parses the path of a file or a folder. A connection string is refused: every message that names
/// the path would repeat it.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match holds_connection(&path.to_string_lossy()) {
        true => Err("it looks like a connection string, and a path is expected"),
        false => Ok(path),
    })
}

/// Parses a strategy.
pub(super) fn parse_strategy(word: &str) -> Result<StrategyChoice, Problem> {
    let found = StrategyChoice::WORDS.iter().find(|(known, _)| *known == word);
    found.map(|(_, choice)| *choice).ok_or_else(|| Problem::new("use auto, digest or stream"))
}

impl SpecArgs {
    /// Splits the environment's values of repeatable flags, which are on lines of their own.
    pub(super) fn split_environment(&mut self, matches: &clap::ArgMatches) {
        split_lines(&mut self.params, "params", matches);
        split_lines(&mut self.mappings, "mappings", matches);
    }
}

/// Splits values that come from the environment. Returns whether they do.
pub(super) fn split_lines(values: &mut Vec<String>, id: &str, matches: &clap::ArgMatches) -> bool {
    let from_environment = matches.value_source(id) == Some(clap::parser::ValueSource::EnvVariable);
    if from_environment {
        let lines = values.iter().flat_map(|value| value.lines());
        *values = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    }
    from_environment
}

/// Splits paths that come from the environment.
pub(super) fn split_paths(paths: &mut Vec<PathBuf>, id: &str, matches: &clap::ArgMatches) {
    let mut lines: Vec<String> =
        paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    if split_lines(&mut lines, id, matches) {
        *paths = lines.into_iter().map(PathBuf::from).collect();
    }
}
