//! The hands: the only room that talks to a PostgreSQL server.
//!
//! One code path serves direct connections and PgBouncer, session or transaction pooling, from 1.18
//! on. So nothing outlives a transaction, no statement has a name, and a running query is cancelled
//! in the one way that leaves an old pooler alive. What may be called is fixed in `.clippy.toml`.

mod batch;
mod cancel;
mod catalog;
mod connector;
mod conninfo;
mod defaults;
mod error;
mod files;
mod lease;
mod load;
mod manager;
mod pipeline;
mod pool;
mod query;
mod quota;
mod relation;
mod retry;
mod row;
mod sequences;
mod server;
mod session;
mod shape;
mod stored;
mod tls;
mod transport;
mod types;
mod writing;

pub use catalog::{Catalog, RELATIONS_AT_ONCE};
pub use conninfo::{Conninfo, ConninfoError, SslMode};
pub use defaults::resolve;
pub use error::{PgError, Remedy};
pub use lease::{Lease, Rows};
pub use load::{Follower, Replay, Sessions};
pub use pool::Pool;
pub use query::QueryColumns;
pub(crate) use retry::Retries;
pub use row::Row;
pub use sequences::{KeyAsked, LastKey};
pub use session::Session;
pub use writing::Writing;
