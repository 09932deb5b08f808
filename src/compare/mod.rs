//! Where and how two sides differ: pairing rows by key, drilling down, what a look has seen, and
//! runs of rows that stand on one side only. State machines without I/O: `run` feeds them.

mod buckets;
mod drill_down;
mod item;
mod one_sided;
mod part_counts;
mod row_diff;
mod row_matcher;
mod tolerance;

pub use buckets::{Ask, BucketGroup, BucketRow, Buckets, Passed, Progress as BucketsProgress};
pub use drill_down::{Compared, Drill, Expectation, RangeDigest, Step};
pub use item::{Gap, Item, Piece, Told};
pub use one_sided::Runs;
pub use part_counts::{MatchedGroups, Parts};
pub use row_diff::{Looked, LookedUp, elements, shown, told};
pub use row_matcher::{Advance, Pairing, Suspected};
pub use tolerance::agree;
