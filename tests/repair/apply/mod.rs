//! Applying a repair: concurrency, privileges, restarts, checksums.

mod checksums;
mod commits;
mod concurrent_writes;
mod restarts;
mod roles;
mod throttle;
