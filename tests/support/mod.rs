//! What the tests stand on: real PostgreSQL servers, real PgBouncer, the program itself.

mod bouncer;
mod cluster;
mod pair;
mod program;

pub use bouncer::Bouncer;
pub use cluster::{Cluster, Settings, shared};
pub use pair::{Pair, Scratch};
pub use program::{Outcome, Program, Running};
