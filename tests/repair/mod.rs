//! The round trip: compare, repair, apply, compare is clean; a second apply changes nothing; undo,
//! and compare reports the first findings. Both forms of a repair, psql's and `apply`'s, leave the
//! same state.

mod apply;
mod backfill;
mod columns;
mod cycles;
mod excluded_mappings;
mod finding_sources;
mod foreign_keys;
mod generated_columns;
mod key_conflicts;
mod psql_traps;
mod ranges;
mod refusals;
mod scenarios;
mod shapes;
mod unique_indexes;
