//! `compare`: compares both sides and reports what differs.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;

use crate::cli::args::{CommonArgs, SpecArgs, When, parse_strategy};
use crate::cli::deadline::PlanningDeadline;
use crate::cli::exit::Exit;
use crate::cli::ledgers::{LedgerRequest, Ledgers, new_id, renew, warn_if_incomplete};
use crate::cli::outputs::{OutputArgs, Outputs};
use crate::cli::prior_run::PriorRun;
use crate::cli::progress::ProgressDisplay;
use crate::cli::run_start::{
    choose_runs, parse_resume, read_open_findings, read_prior_findings, share,
};
use crate::cli::telemetry::Log;
use crate::cli::ui::Ui;
use crate::cli::{redact_key, signals, specs};
use crate::event::{Event, Observer};
use crate::ledger::{Cipher, LedgerSetting};
use crate::problem::Problem;
use crate::report::{Commands, ReportOptions};
use crate::row::Redactor;
use crate::run::{self, Options, RunStart, SinceOption, Stop};
use crate::spec::{Spec, StrategyChoice, parse_duration};

/// Compare both sides and report what differs
///
/// Every mapping is planned before the first row is read. A difference is reported when it has not
/// changed for `settle`. Ctrl-C once finishes the chunks in flight and reports; twice stops at
/// once.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) specs: SpecArgs,

    /// How rows are compared: auto, digest or stream
    #[arg(long, value_name = "NAME", env = "PGRECONCILE_STRATEGY", value_parser = parse_strategy, help_heading = "How to compare")]
    strategy: Option<StrategyChoice>,

    /// Rows of a chunk, instead of a time
    #[arg(long, value_name = "N", env = "PGRECONCILE_CHUNK_ROWS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "How to compare")]
    chunk_rows: Option<u64>,

    /// Compare only this share of the keys, in whole ranges at even distances: 1%
    #[arg(long, value_name = "SHARE", env = "PGRECONCILE_SAMPLE", value_parser = parse_share, help_heading = "What to compare")]
    pub(crate) sample: Option<f64>,

    /// Compare only keys whose row on either side is younger than this; deletions are not found
    #[arg(long, value_name = "TIME", env = "PGRECONCILE_SINCE", value_parser = parse_since, conflicts_with = "sample", help_heading = "What to compare")]
    pub(crate) since: Option<SinceOption>,

    /// Connections to each side
    #[arg(long, value_name = "N", env = "PGRECONCILE_JOBS", value_parser = clap::value_parser!(u64).range(1..=64), help_heading = "How to compare")]
    jobs: Option<u64>,

    /// How long a difference must not change before it is reported
    #[arg(long, value_name = "TIME", env = "PGRECONCILE_SETTLE", value_parser = parse_duration, help_heading = "How to compare")]
    settle: Option<Duration>,

    /// How long a run may take; it stops in time, reports what is left and exits with 3
    #[arg(long, value_name = "TIME", env = "PGRECONCILE_DEADLINE", value_parser = parse_deadline, help_heading = "Run")]
    deadline: Option<Duration>,

    /// Findings reported per mapping; more are counted
    #[arg(long, value_name = "N", env = "PGRECONCILE_MAX_FINDINGS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Output")]
    max_findings: Option<u64>,

    /// Report long ranges of one-sided rows key by key
    #[arg(long, env = "PGRECONCILE_EXPAND", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue, help_heading = "Output")]
    expand: bool,

    /// Report keys and columns, no values
    #[arg(long, env = "PGRECONCILE_KEYS_ONLY", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue, help_heading = "Output")]
    keys_only: bool,

    #[command(flatten)]
    outputs: OutputArgs,

    /// Whether to show progress
    #[arg(
        long,
        value_name = "WHEN",
        env = "PGRECONCILE_PROGRESS",
        default_value = "auto",
        help_heading = "Output"
    )]
    progress: When,

    /// Compare what has gone unverified for longest, until --deadline
    ///
    /// The ledger stores which keys were verified when. Findings of earlier runs are rechecked
    /// first. The deadline is a normal end; `coverage` says how much was compared.
    #[arg(long, env = "PGRECONCILE_SLICE", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue, conflicts_with_all = ["sample", "since", "resume", "run_id"], help_heading = "What to compare")]
    pub(crate) slice: bool,

    /// Resume the newest interrupted run of the spec, or this one
    ///
    /// Chunks that it has compared are not read again; keys that differed are rechecked. If there
    /// is no interrupted run, a new one starts.
    #[arg(long, value_name = "RUN", env = "PGRECONCILE_RESUME", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = "Run")]
    pub(crate) resume: Option<String>,

    /// Share one run with all processes that have the same id and the same --ledger postgres://…
    ///
    /// Each compares a part; the last one rechecks what differs and reports the whole run. A
    /// process that was stopped joins again when it is started with the same id.
    #[arg(long, value_name = "ID", env = "PGRECONCILE_RUN_ID", value_parser = parse_run_id, help_heading = "Run")]
    pub(crate) run_id: Option<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl CompareArgs {
    /// Splits the environment's values of repeatable flags.
    pub(crate) fn split_environment(&mut self, matches: &clap::ArgMatches) {
        self.specs.split_environment(matches);
        self.outputs.split_environment(matches);
        self.common.record_given_ledger(matches);
    }

    /// Returns the options: the flags, then the spec's settings.
    fn options(&self, spec: &Spec, ledgers: &Ledgers) -> Options {
        let mut options = Options::of(&spec.compare);
        options.chunk_rows = self.chunk_rows;
        options.sample = self.sample.filter(|share| *share < 1.0);
        options.since.clone_from(&self.since);
        options.slice = self.slice;
        options.expand = self.expand;
        options.keys_only = self.keys_only;
        options.mappings.clone_from(&self.specs.mappings);
        let secret = redact_key::given();
        let given = secret.as_deref().map(Redactor::of_secret);
        if let Some(redactor) = given.or_else(|| ledgers.redactor(spec)) {
            options.redactor = redactor;
        }
        options.cipher = secret.as_deref().map(Cipher::of_secret);
        options.deadline = self.deadline.or(options.deadline);
        if let Some(strategy) = self.strategy {
            options.strategy = strategy;
        }
        if let Some(jobs) = self.jobs.and_then(|jobs| usize::try_from(jobs).ok()) {
            options.jobs = jobs;
        }
        if let Some(settle) = self.settle {
            options.settle = settle;
        }
        if let Some(most) = self.max_findings {
            options.max_findings = most;
        }
        options
    }

    /// Returns the command line that repeats this call.
    fn command(&self) -> String {
        join_words(&self.words(&self.specs.specs))
    }

    /// Returns the command line that resumes a run of this spec, or that joins a shared run.
    fn resume_command(&self, spec: &Spec, shared: Option<&str>) -> String {
        let mut words = self.words(std::slice::from_ref(&spec.text.path));
        let known = StrategyChoice::WORDS.iter().find(|(_, choice)| Some(*choice) == self.strategy);
        if let Some((word, _)) = known {
            words.extend(["--strategy".to_owned(), (*word).to_owned()]);
        }
        if let Some(share) = self.sample {
            // Rounded, so that a share of 0.07 is 7%.
            let percent = (share * 1e12).round() / 1e10;
            words.extend(["--sample".to_owned(), format!("{percent}%")]);
        }
        if let Some(since) = &self.since {
            words.extend(["--since".to_owned(), since.text.clone()]);
        }
        if let Some(ledger) = &self.common.given_ledger {
            words.extend(["--ledger".to_owned(), ledger.clone()]);
        }
        match shared {
            Some(run) => words.extend(["--run-id".to_owned(), run.to_owned()]),
            None => words.push("--resume".to_owned()),
        }
        join_words(&words)
    }

    /// Returns the words of a call with these specs, and with the flags that say what to compare.
    fn words(&self, specs: &[PathBuf]) -> Vec<String> {
        let mut words = vec!["pgreconcile".to_owned(), "compare".to_owned()];
        words.extend(specs.iter().map(|path| path.display().to_string()));
        for param in &self.specs.params {
            words.extend(["--param".to_owned(), param.clone()]);
        }
        for mapping in &self.specs.mappings {
            words.extend(["--mapping".to_owned(), mapping.clone()]);
        }
        words
    }
}

/// Joins words to a command line.
fn join_words(words: &[String]) -> String {
    words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
}

/// Parses a duration of more than zero.
fn parse_deadline(text: &str) -> Result<Duration, Problem> {
    match parse_duration(text)? {
        Duration::ZERO => Err(Problem::new("a deadline must be more than zero")),
        deadline => Ok(deadline),
    }
}

/// Parses the age of rows that are compared.
fn parse_since(text: &str) -> Result<SinceOption, Problem> {
    match parse_duration(text)? {
        Duration::ZERO => Err(Problem::new("nothing is younger than no time at all")),
        time => Ok(SinceOption { text: text.to_owned(), time }),
    }
}

/// Parses `1%` as a share.
fn parse_share(text: &str) -> Result<f64, Problem> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err(Problem::new("write a share of the keys between 0% and 100%, for example 1%")),
    }
}

/// Parses the id of a shared run.
fn parse_run_id(text: &str) -> Result<String, Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match (1..=100).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(Problem::new("use letters, digits, \".\", \"_\" and \"-\", at most 100")),
    }
}

/// Quotes a word for a shell if it needs quotes.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=,:@%+".contains(c);
    let word = crate::spec::printable(word);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The observers of a run.
struct Observers {
    outputs: Outputs,
    progress: ProgressDisplay,
    log: Option<Log>,
}

impl Observer for Observers {
    fn observe(&mut self, event: &Event) {
        if let Some(log) = &mut self.log {
            log.observe(event);
        }
        // The log has written retries to stderr already.
        if !(self.log.is_some() && matches!(event, Event::Retried { .. })) {
            self.progress.observe(event);
        }
        self.outputs.observe(event);
    }
}

/// Reads and plans every spec, then runs one after the other: all of it, or a prior run's findings
/// only.
pub(crate) async fn run(args: &CompareArgs, prior: Option<&PriorRun>, ui: &Ui) -> Exit {
    let Some(specs) = specs::read(&args.specs, ui) else { return Exit::Trouble };
    let (requests, stop) = watch::channel(Stop::No);
    if args.run_id.is_some() && (specs.len() > 1 || args.resume.is_some()) {
        let message = "--run-id shares one run of one spec, and needs no --resume";
        ui.error(message, Some("Start each process with one SPEC and the same --run-id."));
        return Exit::Trouble;
    }
    let mut specs = specs;
    let verb = if prior.is_some() { "recheck" } else { "compare" };
    let several = specs.len() > 1;
    let process = new_id();
    // The processes of a shared run have one lease together.
    let shares = args.run_id.as_deref().map(|run| (run, process.as_str()));
    let resumes = args.resume.as_deref().and_then(parse_resume).is_some();
    let request = LedgerRequest { verb, shares, resumes, ui };
    let (ledgers, locked) = Ledgers::open(&args.common.ledger(), &request, &mut specs).await;
    let leases = ledgers.leases();
    let release = Box::pin(ledgers.release(args.run_id.is_some()));
    if specs.is_empty() {
        return Exit::Locked;
    }
    let can_resume = |spec: &&Spec| {
        prior.is_none() && !args.slice && args.since.is_none() && ledgers.can_resume(&spec.name)
    };
    let resumable = specs.iter().filter(can_resume);
    let resume =
        resumable.map(|spec| (spec.name.clone(), args.resume_command(spec, None))).collect();
    let options = ReportOptions {
        is_terminal: false,
        width: ui.width(),
        colour: ui.stdout_has_colour(),
        several,
        commands: Commands { again: args.command(), resume },
        has_files: !args.outputs.reports.is_empty(),
        no_ledger: args.common.ledger() == LedgerSetting::Off,
    };
    let outputs = Outputs::open(&args.outputs, &options, requests.clone(), ui);
    let Some(outputs) = outputs else {
        release.await;
        return Exit::Trouble;
    };
    let worst = if locked { Exit::Locked } else { Exit::Clean };
    let exit = tokio::select! {
        () = signals::relay(&requests) => Exit::Incomplete,
        () = renew(leases) => Exit::Incomplete,
        exit = Box::pin(run_all((args, prior, &process), specs, (outputs, ledgers), stop, ui)) => exit.max(worst),
    };
    release.await;
    exit
}

/// Plans the specs, then runs them. A prior run's findings are rechecked only.
async fn run_all(
    (args, prior, process): (&CompareArgs, Option<&PriorRun>, &str),
    specs: Vec<Spec>,
    (outputs, mut ledgers): (Outputs, Ledgers),
    stop: watch::Receiver<Stop>,
    ui: &Ui,
) -> Exit {
    let runs = specs.iter().map(|spec| args.deadline.or(spec.compare.deadline));
    let deadline = PlanningDeadline::start(runs);
    let mut prior_findings = Vec::new();
    for spec in &specs {
        let findings = match prior {
            Some(prior) => read_prior_findings(prior, &args.common, spec, ui).await,
            None if args.slice => read_open_findings(spec, &mut ledgers, ui).await,
            None => continue,
        };
        let Some(findings) = findings else { return Exit::Trouble };
        prior_findings.push(findings);
    }
    let mut prior_findings = prior_findings.into_iter();
    let mut interrupted = stop.clone();
    let prepared = tokio::select! {
        prepared = specs::prepare_all(specs, |spec| args.options(spec, &ledgers), ui) => prepared,
        _ = interrupted.changed() => {
            ui.error("interrupted before the first row was read", None);
            None
        }
        () = deadline.reached() => {
            let hint = "No report was written; one that is there is of an earlier run.";
            ui.error("the deadline was reached before the first row was read", Some(hint));
            return Exit::Incomplete;
        }
    };
    let Some(mut prepared) = prepared else { return Exit::Trouble };
    prepared.iter_mut().for_each(|(_, options)| deadline.shorten(options));
    let stores = [(args.slice, "--slice"), (args.run_id.is_some(), "--run-id")];
    for (_, flag) in stores.into_iter().filter(|(given, _)| *given) {
        let refused = |(prepared, options)| run::unstorable(prepared, options, flag);
        if let Some(problem) = prepared.iter().map(|(p, o)| (p, o)).find_map(refused) {
            ui.problem(&problem);
            return Exit::Trouble;
        }
    }
    let mut begins = VecDeque::new();
    if prior.is_none() && args.run_id.is_none() {
        let wanted = args.resume.as_deref().and_then(parse_resume);
        let Some(all) = choose_runs(wanted, &mut prepared, &mut ledgers, ui).await else {
            return Exit::Trouble;
        };
        begins = all;
    }
    let progress = ProgressDisplay::new(args.progress, ui);
    let mut observers = Observers { outputs, progress, log: Log::start(&args.common) };
    let mut exit = Exit::Clean;
    for (prepared, options) in prepared {
        if let Some(run_id) = &args.run_id {
            let again = args.resume_command(&prepared.spec, Some(run_id));
            let part = (run_id.as_str(), process, again.as_str());
            let (ledgers, stop) = (&mut ledgers, stop.clone());
            let shared = share(part, prepared, options, ledgers, &mut observers, stop, ui);
            match Box::pin(shared).await {
                Ok(shared) => exit = shared,
                // Another process reports the run; existing reports stay.
                Err(exit) => return exit,
            }
            continue;
        }
        let new = ledgers.take_run_id(&prepared.spec.name);
        let begin = begins.pop_front().unwrap_or_else(|| RunStart::New(new.clone()));
        let mut recorder = ledgers.take(&prepared.spec.name);
        let observers = run::RunObservers { recorder: recorder.as_mut(), observer: &mut observers };
        let stop = stop.clone();
        let summary = match prior_findings.next() {
            None => run::compare(prepared, begin, options, observers, stop).await,
            Some(findings) => {
                let text = prepared.spec.text.clone();
                let result = match args.slice {
                    true => {
                        Box::pin(run::slice(prepared, findings, new, options, observers, stop))
                            .await
                    }
                    false => {
                        Box::pin(run::recheck(prepared, findings, new, options, observers, stop))
                            .await
                    }
                };
                match result {
                    Ok(summary) => summary,
                    Err(trouble) => {
                        ui.trouble(&text, &trouble);
                        // The reports of runs before this one are complete.
                        exit = Exit::Trouble;
                        break;
                    }
                }
            }
        };
        if let Some(recorder) = &recorder {
            warn_if_incomplete(recorder, ui);
        }
        exit = exit.max(summary.verdict.into());
    }
    if !observers.outputs.finish() {
        exit = exit.max(Exit::Incomplete);
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(shell_word("specs/tracking.toml"), "specs/tracking.toml");
        assert_eq!(shell_word("tenants={1,2}"), "'tenants={1,2}'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
