//! pgreconcile.
pub mod schema;
pub mod row;
pub mod finding;
pub mod spec;
