//! The conductor: moves a run from its plan to its summary.
//!
//! One dispatcher owns all state that changes and talks to the observer, so that a run is one linear
//! story; workers only do one piece of work each and hand its result back. That is not a framework:
//! there are a dozen kinds of work, and one loop that picks the next.

mod account;
mod again;
mod ahead;
mod allowed;
mod apply;
mod arranging;
mod batching;
mod blocked;
mod changed;
mod changes;
mod conduct;
mod cutting;
mod desk;
mod dispatcher;
mod folder;
mod frontier;
mod hands;
mod histogram;
mod lag;
mod making;
mod mapping;
mod member;
mod one_sided;
mod options;
mod pace;
mod parts;
mod pass;
mod piece;
mod prepare;
mod ready;
mod recheck;
mod repair;
mod repairing;
mod resume;
mod sampling;
mod scan;
mod sequences;
mod settling;
mod sharing;
mod since;
mod sizing;
mod slices;
mod slots;
mod spacing;
mod steps;
mod target;
mod terms;
mod verified;
mod watch;
mod work;
mod worker;
mod writing;

pub use again::{Memory, recheck};
pub use apply::{Applied, Progress};
pub use blocked::Blocked;
pub use conduct::{Audience, Begin, compare};
pub use options::{Options, RepairOptions, Since, Stop};
pub use prepare::{Prepared, Trouble, prepare};
pub use ready::{Ready, ready};
pub use repair::{Repaired, repair};
pub use sequences::sequences;
pub use sharing::{Parted, Shared, share};
pub use slices::slice;
pub use terms::{agree, changes};
