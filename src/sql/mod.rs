//! Every SQL text, as values: what is asked, never asking it.
//!
//! Texts are born here and nowhere else, so that one reader can judge them all, and snapshots hold
//! them without a server. Identifiers enter as names and are quoted in one place; the operator's own
//! SQL enters as a `Fragment`, between brackets; every value is a parameter.
//!
//! Functions, types and operators are written with their schema: a side may set a `search_path` of
//! its own, and nothing in it may slip under ours.

mod access;
mod boundary;
mod canonical_form;
mod cast;
mod changed_since;
mod definition;
mod digest;
mod group;
mod histogram;
mod holders;
mod large_value;
mod load;
mod lookup;
mod part_digests;
mod references;
mod region;
mod relation;
mod rows;
mod self_test;
mod sequences;
mod server;
mod settings;
mod shape;
#[cfg(test)]
mod snapshots;
mod statement;
mod stored;
mod uniques;

pub use access::{
    column_spreads, expression_plan, expression_type, param_value, query_check, query_column_types,
    query_columns, relation_columns, relation_indexes, relation_names, relations, type_shapes,
};
pub use boundary::{Neighbour, neighbour, null_keys, probe, sampled_keys};
pub use cast::{cast_values, keys_of_texts};
pub use changed_since::{changed_keys, moment};
pub use definition::{definition, stored_definition};
pub use digest::{bucket_digests, digest};
pub use histogram::{blocks, histogram};
pub use holders::{KeyColumn, key_holders};
pub use load::{replay_by_standbys, replay_of_standby, sessions};
pub use lookup::{LookupLayout, look_up};
pub use part_digests::{DigestSplit, PartFields, part_digests};
pub use references::{Counterpart, rows_with_keys};
pub use rows::{canonical_rows, canonical_rows_with_rules, key_hashes};
pub use self_test::self_test;
pub use sequences::{last_key, sequence_links, sequence_state};
pub use server::{IS_READ_ONLY, clock, server, transaction, transaction_status};
pub use settings::{CHECK_CLIENT, PINNED, WAIT_FOR_COMMIT, begin, settings_in_effect};
pub use shape::{read_by_queries, read_by_views, shapes};
pub use statement::{Bind, Statement, quoted, table as quoted_table};
pub use stored::{rights, stored_columns, stored_links, stored_rows, unmovable_sequences};
pub use uniques::{index_value, index_values, stored_uniques, texts};
