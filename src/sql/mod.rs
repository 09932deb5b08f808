//! The SQL that this program sends, as values: this module writes statements and never runs them.
//!
//! All SQL is written here (the ledger's and the repair scripts' excepted), so that a reader can review
//! it in one place, and snapshots test it without a server. Identifiers enter as names and are quoted in
//! one place; SQL of the spec enters as a `Fragment`, between brackets; every value is a parameter.
//!
//! A public function is named for the result of the statement that it returns. A statement with a fixed
//! text is a file in `statements/`; the others are assembled. Keywords are in lower case, but for the
//! parts that repair scripts share.
//!
//! Functions, types and operators are written with their schema: a side may set a `search_path` of its
//! own, and no object in it may replace one of PostgreSQL's.

mod boundary;
mod canonical_form;
mod cast;
mod catalog;
mod changed_since;
mod digest;
mod group;
mod histogram;
mod large_value;
mod load;
mod lookup;
mod part_digests;
mod region;
mod relation;
mod repair;
mod rows;
mod self_test;
mod server;
mod settings;
#[cfg(test)]
mod snapshots;
mod statement;

pub use boundary::{Neighbour, neighbour, null_keys, probe, sampled_keys};
pub use cast::{cast_values, keys_of_texts};
pub use catalog::{
    column_spreads, expression_plan, expression_type, last_key, param_value, query_check,
    query_column_types, query_columns, read_by_queries, read_by_views, relation_columns,
    relation_indexes, relation_names, relations, sequence_links, sequence_state, shapes,
    type_shapes,
};
pub use changed_since::{changed_keys, moment};
pub use digest::{bucket_digests, digest};
pub use histogram::{blocks, histogram};
pub use load::{replay_by_standbys, replay_of_standby, sessions};
pub use lookup::{LookupLayout, look_up};
pub use part_digests::{DigestSplit, PartFields, part_digests};
pub use repair::{
    Counterpart, KeyColumn, definition, index_value, index_values, key_holders, rights,
    rows_with_keys, stored_columns, stored_definition, stored_links, stored_rows, stored_uniques,
    texts, unmovable_sequences,
};
pub use rows::{canonical_rows, canonical_rows_with_rules, key_hashes};
pub use self_test::self_test;
pub use server::{IS_READ_ONLY, clock, server, transaction, transaction_status};
pub use settings::{CHECK_CLIENT, PINNED, WAIT_FOR_COMMIT, begin, settings_in_effect};
pub use statement::{Bind, RAISED_SQLSTATE, Statement, quoted, table as quoted_table};
