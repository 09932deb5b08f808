//! The checks before the first row is read: specs, tables, roles.

mod many_mappings;
mod problems;
mod table_kinds;
