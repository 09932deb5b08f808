//! Texts for people: counts, shares, durations, keys and wrapped lines, as reports, hints and
//! messages write them.

mod key;
mod number;
mod wrap;

pub use key::{escape_to_one_line, format_group, format_key};
pub use number::{format_count, format_duration, format_number, format_percent};
pub use wrap::{coloured_width, display_width, pad, truncate, wrap, wrap_indented};
