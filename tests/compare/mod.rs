//! The findings of a comparison: values, keys, rules, groups, random data.

mod dual_writes;
mod encodings;
mod environment;
mod groups;
mod keys;
mod laws;
mod lookalikes;
mod mutations;
mod regression_tables;
mod rules;
mod scenarios;
mod self_test;
mod sizes;
mod types;
