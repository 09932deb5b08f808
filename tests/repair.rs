//! The round trip: compare, repair, apply, compare is clean; again changes nothing; undo, and compare
//! gives the first findings. Both forms of a repair, psql's and `apply`'s, leave the same state.

mod backfill;
mod circles;
mod columns;
mod commits;
mod computed;
mod links;
mod occupied;
mod pace;
mod races;
mod ranges;
mod refusals;
mod refused_mappings;
mod restarts;
mod roles;
mod round;
mod runs;
mod scenarios;
mod seals;
mod session;
mod shapes;
mod traps;
mod uniques;

pub use round::{Round, Said, same};
