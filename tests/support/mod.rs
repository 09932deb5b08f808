//! What the tests stand on: real PostgreSQL servers, real PgBouncer, the program itself.

mod authority;
mod bouncer;
pub mod cluster;
pub mod dice;
pub mod documents;
pub mod fault;
pub mod gate;
mod guarded;
pub mod ledger_database;
mod liar;
mod pair;
mod problem;
mod program;
mod proxy;
pub mod psql_session;
pub mod quickstart;
pub mod report;
pub mod round_trip;
pub mod scenarios;
pub mod types;

pub use authority::{Authority, Certificate};
pub use bouncer::Bouncer;
pub use cluster::{Cluster, Settings, free_port, shared, strategies};
pub use guarded::{CANARY, Guarded, PASSWORD, guarded};
pub use liar::{Liar, Lie, announced, message};
pub use pair::{Pair, Scratch};
pub use problem::{Case, HEAD, MAPPING, Problem, harmless, hold, refused};
pub use program::{Outcome, Program, Running};
pub use proxy::{Fate, Proxy};
