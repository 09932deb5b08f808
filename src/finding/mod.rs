//! From a difference to a finding, and the books that must balance.
//!
//! A difference seen once is a *suspect*: both systems keep writing while we look, and the two
//! databases share no clock and no snapshot. [`Candidate::settle`] turns looks into a ruling, and
//! only a ruling makes a [`Finding`]. A [`MappingCounts`] counts every row exactly once on each side.

mod candidate;
mod counts;
mod deserialize;
mod divergence;
mod groups;
mod hint;
mod history;
mod named;
mod record;
mod sort_key;
mod throttle;

pub use candidate::{Candidate, Recheck, RecheckOutcome, Ruling, Subject};
pub use counts::{MappingCounts, SideCounts};
pub use divergence::{Disposition, DivergenceKind, Finding, FindingPlace, RangeText, Recurrence};
pub use groups::{GroupRecord, GroupedCounts};
pub use hint::{Hint, LEAST_SHARE};
pub use history::{History, PastRun, Trend, VerifiedShare};
pub use named::NamedValues;
pub use record::{
    CHANGED, ExpiredAccept, MappingRecord, NotRecalled, ReadAgain, RunRecord, SummaryRecord,
    Undecided, Verdict, exit_code, timestamp,
};
pub use sort_key::SortKey;
pub use throttle::ThrottleRecord;
