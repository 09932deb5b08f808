//! From a difference to a finding, and the row counts that must balance.
//!
//! A difference seen once is a *candidate*: both systems write while the tables are read, and the
//! two databases share no clock and no snapshot. [`Candidate::settle`] turns rechecks into a
//! ruling, and only a ruling makes a [`Finding`]. [`MappingCounts`] counts every row exactly once
//! on each side.

mod candidate;
mod counts;
mod deserialize;
mod divergence;
mod groups;
mod hint;
mod history;
mod kind;
mod named_values;
mod record;
mod sort_key;
mod throttle;
mod verdict;

pub use candidate::{Candidate, Recheck, RecheckOutcome, Ruling, Subject};
pub use counts::{MappingCounts, SideCounts};
pub use divergence::{Finding, FindingPlace, RangeText, Recurrence};
pub use groups::{GroupRecord, GroupedCounts};
pub use hint::{Hint, MIN_SHARE};
pub use history::{History, PastRun, Trend, VerifiedShare};
pub use kind::{Disposition, DivergenceKind};
pub use named_values::NamedValues;
pub use record::{
    CHANGED, ExpiredAccept, MappingRecord, NotRecalled, ReadAgain, RunRecord, SummaryRecord,
    Undecided, format_timestamp,
};
pub use sort_key::SortKey;
pub use throttle::ThrottleRecord;
pub use verdict::{Verdict, exit_code};
