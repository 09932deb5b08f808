//! Reads for a repair: the definition of a table, its rows with all columns, and rows that a change may
//! conflict with.

mod definition;
mod holders;
mod references;
mod stored_rows;
mod uniques;

pub use definition::{definition, stored_definition};
pub use holders::{KeyColumn, key_holders};
pub use references::{Counterpart, rows_with_keys};
pub use stored_rows::{rights, stored_columns, stored_links, stored_rows, unmovable_sequences};
pub use uniques::{index_value, index_values, stored_uniques, texts};
