//! What the tests share: real PostgreSQL servers, a real PgBouncer, the program as a process, data.

pub mod dice;
pub mod documents;
pub mod fault;
pub mod gate;
pub mod ledger_database;
mod pair;
mod problem;
mod program;
pub mod psql_session;
pub mod quickstart;
pub mod report;
pub mod round_trip;
pub mod scenarios;
mod servers;
pub mod types;
pub mod wait;

pub use pair::{Pair, Scratch};
pub use problem::{Case, HEAD, MAPPING, Problem, harmless, hold, refused};
pub use program::{Outcome, Program, Running};
pub use servers::*;
