//! pgreconcile: dual-write reconciliation for PostgreSQL.
//!
//! A comparison reads a [`spec`], makes a [`plan`] of it, reads both sides in chunks, rechecks the
//! candidates that it finds, and reports the [`finding`]s that remain. What decides is pure and
//! synchronous; only [`pg`] and [`ledger`] do I/O with databases, and only [`run`] and the command line
//! call them.
//!
//! # Modules
//!
//! Each module imports only from modules above it in this list (`tests/architecture` checks it). Each
//! file begins with what it is and why it is so.
//!
//! | module | contents |
//! |---|---|
//! | [`problem`] | the error type for people: message, detail, hint, source |
//! | [`schema`] | sides, names, types, and what catalogs say about a relation |
//! | [`row`] | keys and their order, key ranges, row hashes, digests, groups |
//! | [`finding`] | candidates, what becomes of them, findings, row counts that must balance, records |
//! | [`spec`] | spec files: read with places, every problem reported at once |
//! | [`text`] | counts, durations and keys as display text |
//! | [`plan`] | pairs, their canonical forms, the key, the strategy and the partition with their reasons |
//! | [`event`] | events of a run, for its observers |
//! | [`sql`] | the SQL of all reads, as values; quoting |
//! | [`compare`] | matching rows by key, drill-down, hash buckets, one-sided ranges: state machines without I/O |
//! | [`chunks`] | which range is read next and how large it is: state machines without I/O |
//! | `candidates` | what becomes of a difference that was seen: state machines without I/O |
//! | [`files`] | files that are written: safe creation, drafts that replace a file at once |
//! | [`repair`] | changes with their guards, repair scripts and their undo |
//! | `repair_plan` | which rows a repair changes, how, and in which order |
//! | `repair_folder` | the folder that `repair` writes and `apply` reads, and what was applied of it |
//! | [`gate`] | the conditions for flipping reads: open, or closed with every reason |
//! | [`diagnosis`] | hints: what the findings of a mapping have in common, in bounded memory |
//! | [`pg`] | connections, TLS, pool, transactions, queries, and what to do about an error |
//! | [`ledger`] | past runs, findings and progress, in a SQLite file or in PostgreSQL; locks and leases |
//! | `throttle` | how fast a run may go, by what the servers report |
//! | `prepare` | connects to both sides and plans every mapping, before the first row is read |
//! | [`run`] | a comparison, a recheck or a repair from start to end: schedules, throttles, retries |
//! | [`report`] | reports of runs, plans, histories and gates; each format is a file |
//! | `cli` | the command line: commands, flags, progress, logs, exit codes |
//!
//! # Glossary
//!
//! `pgreconcile help glossary` explains the words that users see: run, mapping, pair, finding, settle,
//! confirmed, unsettled and others. They mean the same in the code. These words are the code's own:
//!
//! | word | meaning |
//! |---|---|
//! | block range | consecutive blocks of a table that one statement reads, in the order of storage ([`row::Blocks`]) |
//! | boundary | a key that ends a chunk and starts the next |
//! | candidate | a difference that was seen and is not yet healed, confirmed, accepted or unsettled; [`compare::CandidateKey`] is one that a chunk found |
//! | canonical form | the form in which the values of a pair are compared; values are equal if its bytes are ([`plan::CanonicalForm`]) |
//! | checksum | a keyed hash that shows whether a stored record or a file was changed |
//! | clean, dirty | of a range or a hash bucket: its digests are equal, or differ |
//! | common type | the canonical form that the types of both columns of a pair convert to without loss |
//! | digest | count and sum of the row hashes of a range ([`row::Digest`]) |
//! | display text | a value as reports show it: as PostgreSQL writes it, or redacted |
//! | drill-down | the steps from a range whose digests differ to the keys that differ ([`compare::DrillDown`]) |
//! | fragment | SQL of a spec that cannot leave the brackets around it ([`spec::Fragment`]) |
//! | gap | the distance between two neighbouring keys of a side, in which the other side may have rows |
//! | group | the rows with the same value in the pair that `group_by` names |
//! | hash bucket | the keys whose hash has the same low bits |
//! | image | count and sum of the rows that each side has of a key |
//! | key range | the keys after one key, up to and including another; a missing end is open ([`row::KeyRange`]) |
//! | one-sided range | more than 10,000 consecutive keys that only one side has: one finding |
//! | partition | how the rows of a mapping are divided into statements: key ranges or hash buckets ([`plan::Partition`]) |
//! | proven key | a key that an index keeps unique and without NULLs |
//! | redactor | replaces a value by a keyed hash, the same for equal values |
//! | region | the rows that a statement reads: a key range, some hash buckets of it, some blocks ([`row::Region`]) |
//! | row hash | a hash of a row's canonical forms, by the server or by the client ([`row::Fingerprint`]) |
//! | self-test | pairs of constant tables that every run hashes first: a server whose hash misses a difference computes no digests |
//! | settings | what the spec says about one subject, with defaults: `PairSettings`, `GateSettings` and others |
//! | shape | the identity of what a side reads; a run stops where it changes ([`schema::Shape`]) |
//! | tolerance | how far two values of a pair may differ and still agree ([`plan::Tolerance`]) |

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
mod repair_plan;
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
