//! Texts for people: counts, shares, durations and keys, as reports, hints and messages write them.

mod key;
mod number;

pub use key::{escape_to_one_line, format_group, format_key};
pub use number::{format_count, format_duration, format_number, format_percent};
