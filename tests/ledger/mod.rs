//! The ledger: what is stored of runs, in a file or in PostgreSQL.

mod corrupt_indexes;
mod corruption;
mod history;
mod migrations;
mod redacted_keys;
mod shared_ledger;
