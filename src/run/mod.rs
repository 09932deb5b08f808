//! The conductor: moves a run from its plan to its summary.
//!
//! One dispatcher owns all state that changes and talks to the observer, so that a run is one linear
//! story; workers only do one piece of work each and hand its result back. That is not a framework:
//! there are a dozen kinds of work, and one loop that picks the next.

mod account;
mod again;
mod allowed;
mod apply;
mod arranging;
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
mod mapping;
mod one_sided;
mod options;
mod pace;
mod parts;
mod pass;
mod piece;
mod prepare;
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
mod slots;
mod steps;
mod terms;
mod watch;
mod work;
mod worker;
mod writing;

pub use again::{Memory, recheck};
pub use apply::{Applied, Progress, Ready, ready};
pub use blocked::Blocked;
pub use conduct::{Audience, Begin, compare};
pub use options::{Options, Since, Stop};
pub use prepare::{Prepared, Trouble, prepare};
pub use repair::{RepairOptions, Repaired, repair};
pub use sequences::sequences;
pub use sharing::{Parted, Shared, share};
pub use terms::{agree, changes};
