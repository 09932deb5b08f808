//! The comparison of rows: pairing by key, the drill-down into ranges, the differences of a row, and
//! ranges of rows on one side only. State machines without I/O: `run` reads the rows.

mod buckets;
mod drill_down;
mod item;
mod one_sided_ranges;
mod part_counts;
mod row_diff;
mod row_matcher;
mod tolerance;

pub use buckets::{BlockQuery, BucketGroup, BucketRow, Buckets, BucketsProgress, ScanOutcome};
pub use drill_down::{DrillDown, DrillStep, Expectation, RangeComparison, RangeDigest};
pub use item::{Item, KeyGap, OneSidedRange, RangeEvent};
pub use one_sided_ranges::RangeCollector;
pub use part_counts::{MatchedGroups, PartCounts};
pub use row_diff::{KeyRows, RowDiff, display_text, elements, text_field};
pub use row_matcher::{Advance, CandidateKey, RowMatcher};
pub use tolerance::agree;
