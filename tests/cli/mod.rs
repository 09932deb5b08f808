//! The command line: mistakes in calls and files, output streams, exit codes.

mod streams;
mod usage_errors;
