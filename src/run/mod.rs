//! The conductor: moves a run from its plan to its summary.
//!
//! One dispatcher owns all state that changes and talks to the observer, so that a run is one linear
//! story; workers only do one piece of work each and hand its result back. That is not a framework:
//! there are a dozen kinds of work, and one loop that picks the next.
//!
//! | part | holds |
//! |---|---|
//! | `conduct`, `dispatcher`, `desk` | a run from its beginning to its summary, round by round |
//! | `prepare`, `facts`, `terms`, `redacted`, `clock` | what is known before it begins, what it is asked, and when |
//! | [`scan`] | where a mapping's scan stands: pure |
//! | [`mapping`] | one mapping: its scan, its candidates, its books |
//! | [`work`] | what workers do, each a piece at a time |
//! | [`pace`] | how fast it may go |
//! | `again`, `resume`, `sharing`, `slices` | a run that looks again, goes on, has many processes, takes a part |
//! | [`repair`] | scripts made and applied |

mod again;
mod blocked;
mod clock;
mod conduct;
mod desk;
mod dispatcher;
mod facts;
mod mapping;
mod options;
mod pace;
mod prepare;
mod redacted;
mod repair;
mod resume;
mod retried;
mod scan;
mod sequences;
mod shards;
mod sharing;
mod slices;
mod terms;
mod work;

pub use again::{Memory, recheck};
pub use blocked::Blocked;
pub use clock::clocks;
pub use conduct::{Audience, Begin, compare};
pub use options::{Options, RepairOptions, Since, Stop};
pub use prepare::{Prepared, Trouble, prepare};
pub use redacted::{read_from_start, unstorable};
pub use repair::apply::{Applied, Progress};
pub use repair::journal::Journal;
pub use repair::looking::Differing;
pub use repair::ready::{Ready, ready};
pub use repair::{Repaired, repair};
pub use sequences::sequences;
pub use sharing::{Parted, Shared, share};
pub use slices::slice;
pub use terms::{agree, changes, same_servers};
