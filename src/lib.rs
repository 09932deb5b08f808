//! pgreconcile: dual-write reconciliation for PostgreSQL.
//!
//! A comparison is a pipeline of nouns, each made once and handed on: *what was agreed* ([`spec`]),
//! *what will be done* ([`plan`]), a piece of work, *a doubt* and *a fact* ([`finding`]), *a telling*
//! ([`report`]). Everything that decides is pure and synchronous; two rooms touch the world
//! ([`pg`], [`ledger`]), moved by one conductor ([`run`]), behind one door, the command line.
//!
//! The rooms, each importing only from those above it in this list (`tests/architecture.rs` holds
//! them to it):
//!
//! | room | holds |
//! |---|---|
//! | [`problem`] | the one shape of an error that a person reads |
//! | [`schema`] | sides, names, types, what a catalog says: the shape of both sides |
//! | [`row`] | keys and their order, ranges, fingerprints, digests |
//! | [`finding`] | how a suspect is settled, what a finding is, books that must balance, the written record |
//! | [`spec`] | spec files, read with places, every problem at once |
//! | [`text`] | counts, durations and keys for people |
//! | [`plan`] | pairs, the canon of each, the key, the strategy with its reason |
//! | [`event`] | the only corridor out of the engine |
//! | [`sql`] | every SQL text, as values; quoting in one place |
//! | [`compare`] | pairing rows, drilling down, runs of one-sided rows: state machines without I/O |
//! | [`chunks`] | which ranges are read next and how large: state machines without I/O |
//! | `candidates` | what becomes of a difference that was seen: state machines without I/O |
//! | [`files`] | files that are written: who may have written to them, drafts beside their place |
//! | [`repair`] | changes with their guards, the scripts that a DBA signs, their undo |
//! | `repair_folder` | the folder that `repair` writes and `apply` reads, and what was applied of it |
//! | [`gate`] | policy and run history: open, or closed with every reason |
//! | [`diagnosis`] | why rows differ: what findings of a mapping have in common, in bounded memory |
//! | [`pg`] | connections, TLS, pool, transactions, what an error means |
//! | [`ledger`] | runs and findings over time, in a file beside the spec; the lock |
//! | `throttle` | how fast a run may go, by what the servers report |
//! | `prepare` | connects to both sides and plans every mapping, before the first row is read |
//! | [`run`] | scheduler, workers, rechecks: a run from its plan to its summary |
//! | [`report`] | one file a format, one line of a list; reports of plans, histories and gates |
//! | `cli` | the door: verbs, flags, progress, logs, exit codes |
//!
//! Each file opens with what it is and why it is so; those paragraphs are the record of decisions.

mod candidates;
pub mod chunks;
pub mod compare;
pub mod diagnosis;
pub mod event;
pub mod files;
pub mod finding;
pub mod gate;
pub mod ledger;
pub mod pg;
pub mod plan;
mod prepare;
pub mod problem;
pub mod repair;
mod repair_folder;
pub mod report;
pub mod row;
pub mod run;
pub mod schema;
pub mod spec;
pub mod sql;
pub mod text;
mod throttle;

mod cli;

pub use cli::start;
