//! Queries of the catalogs: relations with their columns and indexes, their identity, and sequences.

mod relations;
mod sequences;
mod shape;

pub use relations::{
    column_spreads, expression_plan, expression_type, param_value, query_check, query_column_types,
    query_columns, relation_columns, relation_indexes, relation_names, relations, type_shapes,
};
pub use sequences::{last_key, sequence_links, sequence_state};
pub use shape::{read_by_queries, read_by_views, shapes};
