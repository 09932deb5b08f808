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
mod change;
mod cli;
mod connections;
mod copies;
mod damage;
mod deploy;
mod diagnosis;
mod encodings;
mod faults;
mod files;
mod gate;
mod gone;
mod groups;
mod keys;
mod kills;
mod languages;
mod laws;
mod leaks;
mod ledger;
mod lies;
mod machines;
mod many;
mod mutations;
mod network;
mod outputs;
mod pace;
mod planning;
mod pooling;
mod races;
mod readme;
mod recheck;
mod redaction;
mod refused;
mod regress;
mod repair;
mod resume;
mod review;
mod rules;
mod sampling;
mod scenarios;
mod secrets;
mod shared;
mod since;
mod sizes;
mod slices;
mod standbys;
mod streams;
mod support;
mod surroundings;
mod tables;
mod tls;
mod transactions;
mod traps;
mod trust;
mod types;
mod versions;
