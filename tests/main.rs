//! Every integration test, in one binary: servers are started once.
//!
//! `support` starts real servers and poolers and runs the program as a process.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's modules are its own, and a panic there is the failure"
)]

mod architecture;
#[path = "bench/statistics.rs"]
mod bench_statistics;
mod cli;
mod compare;
mod connect;
mod docs;
mod gate;
mod ledger;
mod plan;
mod repair;
mod report;
mod run;
mod support;
