//! What the tests stand on: real PostgreSQL servers, real PgBouncer, the program itself.

mod bouncer;
pub mod cluster;
mod pair;
mod program;

pub use bouncer::Bouncer;
pub use cluster::{Cluster, Settings};
pub use pair::{Pair, Scratch};
pub use program::{Outcome, Program};
