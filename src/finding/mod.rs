//! From a difference to a finding, and the books that must balance.
//!
//! A difference seen once is a *suspect*: both systems keep writing while we look, and the two
//! databases share no clock and no snapshot. [`Suspect::settle`] turns looks into a ruling, and
//! only a ruling makes a [`Finding`]. A [`Tally`] counts every row exactly once on each side.

mod divergence;
mod groups;
mod hint;
mod kind;
mod named;
mod paced;
mod past;
mod reading;
mod record;
mod suspect;
mod tally;
mod verdict;

pub use divergence::{Finding, Place, RangeText, Recurrence};
pub use groups::{GroupRecord, GroupTallies};
pub use hint::{Hint, LEAST_SHARE};
pub use kind::{Disposition, Kind};
pub use named::Named;
pub use paced::Paced;
pub use past::{History, PastRun, Trend, Verified};
pub use record::{
    CHANGED, ExpiredAccept, MappingRecord, NotRecalled, ReadAgain, RunRecord, SummaryRecord,
    Undecided, timestamp,
};
pub use suspect::{Look, Ruling, Settled, Subject, Suspect};
pub use tally::{Books, Tally};
pub use verdict::{Verdict, exit_code};
