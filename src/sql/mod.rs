//! Every SQL text, as values: what is asked, never asking it.
//!
//! Texts are born here and nowhere else, so that one reader can judge them all, and snapshots hold
//! them without a server. Identifiers enter as names and are quoted in one place; the operator's own
//! SQL enters as a `Fragment`, between brackets; every value is a parameter.
//!
//! Functions, types and operators are written with their schema: a side may set a `search_path` of
//! its own, and nothing in it may slip under ours.

mod access;
mod canary;
mod canon;
mod definition;
mod digest;
mod fold;
mod group;
mod histogram;
mod holders;
mod load;
mod lookup;
mod parts;
mod probe;
mod references;
mod region;
mod relation;
mod rows;
mod sequences;
mod server;
mod settings;
mod shape;
mod since;
#[cfg(test)]
mod snapshots;
mod statement;
mod stored;
mod told;
mod uniques;

pub use access::{
    column_spreads, expression_told, expression_type, param_value, query_column_types,
    query_columns, query_stands_alone, relation_columns, relation_indexes, relation_names,
    relations, type_shapes,
};
pub use canary::canaries;
pub use definition::{definition, stored_definition};
pub use digest::{class_digests, digest};
pub use histogram::{blocks, histogram};
pub use holders::{Compared, key_holders};
pub use load::{replay_by_standbys, replay_of_standby, sessions};
pub use lookup::{Lookup, look_up};
pub use parts::{PartFields, Parting, part_digests};
pub use probe::{Neighbour, neighbour, null_keys, probe, sampled_keys};
pub use references::{Counterpart, rows_with_keys};
pub use rows::{canons, canons_with_rules, key_hashes};
pub use sequences::{last_key, sequence_links, sequence_state};
pub use server::{IS_READ_ONLY, clock, server, transaction, transaction_status};
pub use settings::{CHECK_CLIENT, PINNED, WAIT_FOR_COMMIT, begin, settings_in_effect};
pub use shape::{read_by_queries, read_by_views, shapes};
pub use since::{changed_keys, moment};
pub use statement::{Bind, RAISED_SQLSTATE, Statement, quoted, table as quoted_table};
pub use stored::{rights, stored_columns, stored_links, stored_rows, unmovable};
pub use told::{held, told_keys};
pub use uniques::{index_value, index_values, stored_uniques, texts};
