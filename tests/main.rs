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
mod cli;
mod connections;
mod faults;
mod groups;
mod keys;
mod laws;
mod mutations;
mod network;
mod outputs;
mod pooling;
mod races;
mod readme;
mod refused;
mod repair;
mod rules;
mod sampling;
mod scenarios;
mod secrets;
mod streams;
mod support;
mod tables;
mod tls;
mod trust;
mod types;
