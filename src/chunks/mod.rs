//! Chunks: which ranges of a table are read next, and how large they are. State machines without I/O;
//! `run` reads what they ask for.

mod block_scan;
mod boundaries;
mod failure;
mod histogram;
mod in_flight;
mod prior;
mod queue;
mod remaining;
mod sample;
mod settings;
mod size;
mod tiles;
mod verified_ranges;

pub(crate) use block_scan::{Found, NextPiece, Pass, PassProgress, Piece, Progress, Read, Stretch};
pub(crate) use failure::{LEAST_ROWS, ReadFailure};
pub(crate) use in_flight::{MOST_GIVEN_UP, Outcome, Told};
pub use prior::{Checked, Kept, KeptState};
pub(crate) use queue::{Frontier, Next};
pub(crate) use remaining::Later;
pub(crate) use settings::ChunkSettings;
pub(crate) use size::MOST_KEYS;
pub(crate) use verified_ranges::Verified;
