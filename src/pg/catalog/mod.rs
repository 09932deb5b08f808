//! Reads the catalogs of a server: relations, types, indexes, sequences, foreign keys, and the shape of
//! what is compared.
//!
//! | file | reads |
//! |---|---|
//! | `reader` | facts about many mappings, in batches |
//! | `relation`, `catalog_type`, `shape` | tables, columns, types and indexes; the identity of what is read |
//! | `query_columns` | the columns and relations of the spec's queries |
//! | `sequences`, `stored_table` | what the gate and a repair need of the target |
//! | `batch` | one statement for many relations, halved if its answer is too large |

pub(super) mod batch;
pub(super) mod catalog_type;
pub(super) mod query_columns;
pub(super) mod reader;
pub(super) mod relation;
pub(super) mod sequences;
pub(super) mod shape;
pub(super) mod stored_table;
