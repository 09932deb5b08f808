//! The command line: arguments, terminal, exit codes. No other module uses them.
//!
//! Arguments are lowered into the plain option structs of other modules, which do not depend on clap.

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
