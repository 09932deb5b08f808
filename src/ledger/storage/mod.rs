//! The two stores of a ledger: a SQLite file, or tables in PostgreSQL.
//!
//! | file | holds |
//! |---|---|
//! | `store` | a ledger, whichever store it has |
//! | `file`, `shared_store` | the two stores |
//! | `stored_row` | rows and values that are written and read |
//! | `schema`, `migration` | the versions of the tables, and the steps between them |
//! | `flip_tests` | tests: no flipped bit of a stored value is taken for the value |

pub(super) mod file;
pub(super) mod flip_tests;
pub(super) mod migration;
pub(super) mod schema;
pub(super) mod shared_store;
pub(super) mod store;
pub(super) mod stored_row;
