//! Servers that tests start: PostgreSQL, PgBouncer, a proxy whose connections fail, a server that lies.

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
