//! The command line: arguments, terminal, exit codes. No other module knows them.
//!
//! Arguments are lowered into the plain option structs of other modules, which do not know clap.

mod args;
mod clock;
mod deadline;
mod exit;
mod help;
mod ledgers;
mod manual;
mod markdown;
mod outputs;
mod prior_run;
mod program;
mod progress;
mod redact_key;
mod run_start;
mod signals;
mod specs;
mod telemetry;
mod ui;
mod verbs;

pub use program::start;
