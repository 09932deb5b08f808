//! Connections: connection strings, TLS, poolers, retries, servers that misbehave.

mod connection_strings;
mod file_copies;
mod hostile_servers;
mod password_leaks;
mod pgbouncer;
mod retries;
mod tls;
