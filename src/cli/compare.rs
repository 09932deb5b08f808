//! `compare`: the main job.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{EnumValueParser, TypedValueParser};
use tokio::sync::watch;

use super::args::{Common, Specs, When, parse_strategy, path, split_paths};
use super::begin::{begin_all, remember, resumption, share, still_open};
use super::deadline::Deadline;
use super::earlier::Earlier;
use super::exit::Exit;
use super::ledgers::{Asker, Ledgers, keep, new_id, warn_of_trouble};
use super::outputs::{Format, Outputs, written};
use super::progress::Progress;
use super::telemetry::Log;
use super::ui::Ui;
use super::{redact_key, signals, specs};
use crate::event::{Event, Observer};
use crate::ledger::{Cipher, Place};
use crate::report::Style;
use crate::row::Veil;
use crate::run::{self, Options, RunStart, SinceOption, Stop};
use crate::spec::{Spec, StrategyChoice, parse_duration};

/// Compare both sides and say what differs
///
/// Every mapping is planned before the first row is read. A difference is reported after it has stood
/// still for `settle`. Ctrl-C once finishes what is in hand and reports; twice stops at once.
#[derive(Args, Clone, Debug)]
pub(super) struct Compare {
    #[command(flatten)]
    pub(super) specs: Specs,

    /// How rows are compared: auto, digest or stream
    #[arg(long, value_name = "NAME", env = "PGRECONCILE_STRATEGY", value_parser = parse_strategy, help_heading = "How to compare")]
    strategy: Option<StrategyChoice>,

    /// Rows of a chunk, instead of a time
    #[arg(long, value_name = "N", env = "PGRECONCILE_CHUNK_ROWS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "How to compare")]
    chunk_rows: Option<u64>,

    /// Look at this share of the keys only, in whole ranges at even distances: 1%
    #[arg(long, value_name = "SHARE", env = "PGRECONCILE_SAMPLE", value_parser = parse_share, help_heading = "What to compare")]
    pub(super) sample: Option<f64>,

    /// Look only at keys whose row on either side is younger than this; deletions are not seen
    #[arg(long, value_name = "TIME", env = "PGRECONCILE_SINCE", value_parser = parse_since, conflicts_with = "sample", help_heading = "What to compare")]
    pub(super) since: Option<SinceOption>,

    /// Connections a side
    #[arg(long, value_name = "N", env = "PGRECONCILE_JOBS", value_parser = clap::value_parser!(u64).range(1..=64), help_heading = "How to compare")]
    jobs: Option<u64>,

    /// How long a difference must stand still before it is called one
    #[arg(long, value_name = "TIME", env = "PGRECONCILE_SETTLE", value_parser = parse_duration, help_heading = "How to compare")]
    settle: Option<Duration>,

    /// How long a run may take; it stops in time, says what is left and exits with 3
    #[arg(long, value_name = "TIME", env = "PGRECONCILE_DEADLINE", value_parser = parse_deadline, help_heading = "Run")]
    deadline: Option<Duration>,

    /// Findings reported per mapping; more are counted
    #[arg(long, value_name = "N", env = "PGRECONCILE_MAX_FINDINGS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Output")]
    max_findings: Option<u64>,

    /// Report long runs of one-sided rows key by key
    #[arg(long, env = "PGRECONCILE_EXPAND", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue, help_heading = "Output")]
    expand: bool,

    /// Name keys and columns, no values
    #[arg(long, env = "PGRECONCILE_KEYS_ONLY", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue, help_heading = "Output")]
    keys_only: bool,

    /// Also write a report; .json, .jsonl or .csv chooses the format (repeatable)
    #[arg(
        long = "report",
        value_name = "FILE",
        env = "PGRECONCILE_REPORT",
        help_heading = "Output",
        value_parser = path()
    )]
    reports: Vec<PathBuf>,

    /// How stdout tells the run
    #[arg(
        long,
        value_name = "FORMAT",
        env = "PGRECONCILE_FORMAT",
        default_value = "terminal",
        value_parser = EnumValueParser::<Format>::new().try_map(written),
        help_heading = "Output"
    )]
    format: Format,

    /// Whether to show progress
    #[arg(
        long,
        value_name = "WHEN",
        env = "PGRECONCILE_PROGRESS",
        default_value = "auto",
        help_heading = "Output"
    )]
    progress: When,

    /// Compare what has gone unverified for longest, as far as --deadline lets it
    ///
    /// The ledger knows which keys were verified when. What the run before found is looked at first. The
    /// deadline is a normal end; `coverage` says how much was compared.
    #[arg(long, env = "PGRECONCILE_SLICE", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue, conflicts_with_all = ["sample", "since", "resume", "run_id"], help_heading = "What to compare")]
    pub(super) slice: bool,

    /// Go on with the newest interrupted run of the spec, or with this one
    ///
    /// Chunks that it has compared are not read again; keys that differed are looked at anew. Without
    /// an interrupted run a new one begins.
    #[arg(long, value_name = "RUN", env = "PGRECONCILE_RESUME", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = "Run")]
    pub(super) resume: Option<String>,

    /// Share one run with every process that is given the same id and the same --ledger postgres://…
    ///
    /// Each compares a part of it; the last one settles what differs and tells the whole. Started again
    /// with the same id, a process that was stopped takes part again.
    #[arg(long, value_name = "ID", env = "PGRECONCILE_RUN_ID", value_parser = parse_run_id, help_heading = "Run")]
    pub(super) run_id: Option<String>,

    #[command(flatten)]
    pub(super) common: Common,
}

impl Compare {
    /// Splits what the environment gives for repeatable flags.
    pub(super) fn split_environment(&mut self, matches: &clap::ArgMatches) {
        self.specs.split_environment(matches);
        split_paths(&mut self.reports, "reports", matches);
        self.common.note_given(matches);
    }

    /// The spec's settings under the flags.
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
        let given = secret.as_deref().map(Veil::of_secret);
        if let Some(veil) = given.or_else(|| ledgers.veil(spec)) {
            options.veil = veil;
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

    /// How to call this again.
    fn command(&self) -> String {
        sentence(&self.words(&self.specs.specs))
    }

    /// How to go on with what was begun of this spec, asked the same, with the same ledger: as one of the
    /// processes that share a run, or with a run that was told.
    fn going_on(&self, spec: &Spec, shared: Option<&str>) -> String {
        let mut words = self.words(std::slice::from_ref(&spec.text.path));
        let known = StrategyChoice::WORDS.iter().find(|(_, choice)| Some(*choice) == self.strategy);
        if let Some((word, _)) = known {
            words.extend(["--strategy".to_owned(), (*word).to_owned()]);
        }
        if let Some(share) = self.sample {
            // As it was written: a share of 0.07 is 7%.
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
        sentence(&words)
    }

    /// The verb, specs, and what they are asked for.
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

/// Words as a command line.
fn sentence(words: &[String]) -> String {
    words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
}

/// Reads a duration in which something can be done.
fn parse_deadline(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("a deadline must be more than zero".to_owned()),
        deadline => Ok(deadline),
    }
}

/// Reads how young a row has to be.
fn parse_since(text: &str) -> Result<SinceOption, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("nothing is younger than no time at all".to_owned()),
        time => Ok(SinceOption { text: text.to_owned(), time }),
    }
}

/// Reads `1%` as a share.
fn parse_share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("write a share of the keys between 0% and 100%, for example 1%".to_owned()),
    }
}

/// Reads the id of a shared run.
fn parse_run_id(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match (1..=100).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("use letters, digits, \".\", \"_\" and \"-\", at most 100".to_owned()),
    }
}

/// Quotes a word for a shell, where it needs quotes.
pub(super) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=,:@%+".contains(c);
    let word = crate::spec::printable(word);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Everyone who hears of a run.
struct Audience {
    outputs: Outputs,
    progress: Progress,
    log: Option<Log>,
}

impl Observer for Audience {
    fn observe(&mut self, event: Event) {
        let mut logged = false;
        if let Some(log) = &mut self.log {
            log.observe(event.clone());
            logged = matches!(event, Event::Retried { .. });
        }
        // What the log has said on stderr is said there once.
        if !logged {
            self.progress.observe(event.clone());
        }
        self.outputs.observe(event);
    }
}

/// Reads and plans every spec, then runs one after the other: all of it, or what an earlier run found.
pub(super) async fn run(args: &Compare, earlier: Option<&Earlier>, ui: &Ui) -> Exit {
    let Some(specs) = specs::read(&args.specs, ui) else { return Exit::Trouble };
    let (wishes, stop) = watch::channel(Stop::No);
    if args.run_id.is_some() && (specs.len() > 1 || args.resume.is_some()) {
        let message = "--run-id shares one run of one spec, and needs no --resume to go on";
        ui.error(message, Some("Start each process with one SPEC and the same --run-id."));
        return Exit::Trouble;
    }
    let mut specs = specs;
    let verb = if earlier.is_some() { "recheck" } else { "compare" };
    let several = specs.len() > 1;
    let process = new_id();
    // Processes of one run hold the lease together.
    let shares = args.run_id.as_deref().map(|run| (run, process.as_str()));
    let resumes = args.resume.as_deref().and_then(resumption).is_some();
    let asker = Asker { verb, shares, resumes, ui };
    let (ledgers, locked) = Ledgers::open(&args.common.ledger(), &asker, &mut specs).await;
    let leases = ledgers.leases();
    let leaving = Box::pin(ledgers.leaving(args.run_id.is_some()));
    if specs.is_empty() {
        return Exit::Locked;
    }
    let can_go_on = |spec: &&Spec| {
        let asked_as_ever = !args.slice && args.since.is_none();
        earlier.is_none() && asked_as_ever && ledgers.can_go_on(&spec.name)
    };
    let going_on = specs.iter().filter(can_go_on);
    let style = Style {
        width: ui.width(),
        colour: ui.colours_stdout(),
        command: args.command(),
        going_on: going_on.map(|spec| (spec.name.clone(), args.going_on(spec, None))).collect(),
        reports: !args.reports.is_empty(),
        forgotten: args.common.ledger() == Place::Off,
    };
    let outputs = Outputs::open(args.format, style, &args.reports, several, wishes.clone(), ui);
    let Some(outputs) = outputs else {
        leaving.await;
        return Exit::Trouble;
    };
    let worst = if locked { Exit::Locked } else { Exit::Clean };
    let exit = tokio::select! {
        () = signals::relay(&wishes) => Exit::Incomplete,
        () = keep(leases) => Exit::Incomplete,
        exit = Box::pin(run_all((args, earlier, &process), specs, (outputs, ledgers), stop, ui)) => exit.max(worst),
    };
    leaving.await;
    exit
}

async fn run_all(
    (args, earlier, process): (&Compare, Option<&Earlier>, &str),
    specs: Vec<Spec>,
    (outputs, mut ledgers): (Outputs, Ledgers),
    stop: watch::Receiver<Stop>,
    ui: &Ui,
) -> Exit {
    let runs = specs.iter().map(|spec| args.deadline.or(spec.compare.deadline));
    let deadline = Deadline::start(runs);
    let mut memories = Vec::new();
    for spec in &specs {
        let memory = match earlier {
            Some(earlier) => remember(earlier, &args.common, spec, ui).await,
            None if args.slice => still_open(spec, &mut ledgers, ui).await,
            None => continue,
        };
        let Some(memory) = memory else { return Exit::Trouble };
        memories.push(memory);
    }
    let mut memories = memories.into_iter();
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
    prepared.iter_mut().for_each(|(_, options)| deadline.leave(options));
    let stores = [(args.slice, "--slice"), (args.run_id.is_some(), "--run-id")];
    for (_, flag) in stores.into_iter().filter(|(given, _)| *given) {
        let refused = |(prepared, options)| run::unstorable(prepared, options, flag);
        if let Some(blocked) = prepared.iter().map(|(p, o)| (p, o)).find_map(refused) {
            ui.error(&blocked.message, blocked.hint.as_deref());
            return Exit::Trouble;
        }
    }
    let mut begins = VecDeque::new();
    if earlier.is_none() && args.run_id.is_none() {
        let wanted = args.resume.as_deref().and_then(resumption);
        let Some(all) = begin_all(wanted, &mut prepared, &mut ledgers, ui).await else {
            return Exit::Trouble;
        };
        begins = all;
    }
    let progress = Progress::new(args.progress, ui);
    let mut audience = Audience { outputs, progress, log: Log::start(&args.common) };
    let mut exit = Exit::Clean;
    for (prepared, options) in prepared {
        if let Some(run_id) = &args.run_id {
            let again = args.going_on(&prepared.spec, Some(run_id));
            let part = (run_id.as_str(), process, again.as_str());
            let (ledgers, stop) = (&mut ledgers, stop.clone());
            let shared = share(part, prepared, options, ledgers, &mut audience, stop, ui);
            match Box::pin(shared).await {
                Ok(told) => exit = told,
                // What others tell is not told here, and a report that is there stays.
                Err(exit) => return exit,
            }
            continue;
        }
        let new = ledgers.new_run(&prepared.spec.name);
        let begin = begins.pop_front().unwrap_or_else(|| RunStart::New(new.clone()));
        let mut recorder = ledgers.take(&prepared.spec.name);
        let heard = run::RunObservers { recorder: recorder.as_mut(), observer: &mut audience };
        let stop = stop.clone();
        let summary = match memories.next() {
            None => run::compare(prepared, begin, options, heard, stop).await,
            Some(memory) => {
                let text = prepared.spec.text.clone();
                let told = match args.slice {
                    true => Box::pin(run::slice(prepared, memory, new, options, heard, stop)).await,
                    false => {
                        Box::pin(run::recheck(prepared, memory, new, options, heard, stop)).await
                    }
                };
                match told {
                    Ok(summary) => summary,
                    Err(trouble) => {
                        ui.trouble(&text, &trouble);
                        // What runs before it have said is complete.
                        exit = Exit::Trouble;
                        break;
                    }
                }
            }
        };
        if let Some(recorder) = &recorder {
            warn_of_trouble(recorder, ui);
        }
        exit = exit.max(summary.verdict.into());
    }
    if !audience.outputs.finish() {
        exit = exit.max(Exit::Incomplete);
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_survives_a_shell() {
        assert_eq!(shell_word("specs/tracking.toml"), "specs/tracking.toml");
        assert_eq!(shell_word("tenants={1,2}"), "'tenants={1,2}'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
