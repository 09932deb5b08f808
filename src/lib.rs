//! pgreconcile.
pub mod schema;
pub mod row;
pub mod finding;
pub mod spec;
pub mod plan;
pub mod event;
pub mod sql;
pub mod compare;
pub mod pg;
