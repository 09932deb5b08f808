//! Where and how two sides differ: pairing rows by key, drilling down, what a look has seen, and
//! runs of rows that stand on one side only. State machines without I/O: `run` feeds them.

mod buckets;
mod drill;
mod leeway;
mod looked;
mod pairing;
mod parts;
mod piece;
mod runs;

pub use buckets::{Ask, BucketGroup, BucketRow, Buckets, Passed, Progress as BucketsProgress};
pub use drill::{Compared, Drill, Expectation, RangeDigest, Step};
pub use leeway::agree;
pub use looked::{Looked, LookedUp, elements, shown, told};
pub use pairing::{Advance, Pairing, Suspected};
pub use parts::{MatchedGroups, Parts};
pub use piece::{Gap, Item, Piece, Told};
pub use runs::Runs;
