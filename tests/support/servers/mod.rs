//! Servers for tests: PostgreSQL, PgBouncer, a proxy with failing connections, a hostile server.

mod authority;
mod bouncer;
pub mod cluster;
mod guarded_server;
mod liar;
mod proxy;

pub use authority::{Authority, Certificate};
pub use bouncer::Bouncer;
pub use cluster::{Cluster, Settings, free_port, shared, strategies};
pub use guarded_server::{CANARY, Guarded, PASSWORD, guarded};
pub use liar::{Liar, Lie, announced, message};
pub use proxy::{Fate, Proxy};
