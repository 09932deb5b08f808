//! The only module that connects to a PostgreSQL server: connection strings, TLS, pools, transactions,
//! catalog queries, and what helps against an error.
//!
//! One code path serves direct connections and PgBouncer, session or transaction pooling, from 1.18
//! on. So nothing outlives a transaction, no statement has a name, and a running query is cancelled
//! in the one way that does not crash an old pooler. `.clippy.toml` lists the functions of the driver
//! that may not be called.

mod cancel;
mod catalog;
mod connection;
mod connector;
mod conninfo;
mod defaults;
mod error;
mod libpq_files;
mod manager;
mod pipeline;
mod pool;
mod quota;
mod read_settings;
mod retry;
mod row;
mod server;
mod server_load;
mod tls;
mod transport;
mod write_transaction;

pub use catalog::query_columns::QueryColumns;
pub use catalog::reader::{Catalog, RELATIONS_AT_ONCE};
pub use catalog::sequences::{LastKey, LastKeyQuery};
pub use connection::{Connection, RowStream};
pub use conninfo::{Conninfo, ConninfoError, SslMode};
pub use defaults::resolve;
pub use error::{PgError, Remedy};
pub use pool::Pool;
pub use read_settings::ReadSettings;
pub(crate) use retry::Retries;
pub use row::Row;
pub use server_load::{Replay, SessionCounts, StandbyProgress};
pub use write_transaction::WriteTransaction;
