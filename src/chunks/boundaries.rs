//! Where the next chunk ends: at a boundary of the histogram if one is near enough, otherwise after a
//! number of rows, for which a server has to be queried. A sample takes and skips ranges in turn.

use std::time::Duration;

use super::histogram::Histogram;
use super::sample::KeySample;
use super::settings::ChunkSettings;
use super::size::ChunkSize;
use crate::compare::Expectation;
use crate::plan::MappingPlan;
use crate::row::{Bound, KeyOrder};
use crate::schema::BySide;

/// Whether the histogram is known.
#[derive(Debug)]
enum KnownHistogram {
    /// It has not been requested.
    Unknown,
    /// It has been requested.
    Requested,
    /// It is known; without statistics it is empty.
    Known(Histogram),
}

/// Whether boundaries can be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The histogram has to be read first.
    NeedsHistogram,
    /// The histogram has been requested.
    Waits,
    /// Boundaries can be determined.
    Ready,
}

/// Where the chunks of one mapping end.
#[derive(Debug)]
pub(crate) struct ChunkBoundaries {
    order: KeyOrder,
    histogram: KnownHistogram,
    size: ChunkSize,
    sample: Option<KeySample>,
    /// The rows of the chunks that an interrupted run had cut, for the sample to count them again.
    restored: Vec<u64>,
}

impl ChunkBoundaries {
    /// Creates the boundaries of a mapping that has not been cut yet.
    pub(crate) fn new(plan: &MappingPlan, settings: ChunkSettings) -> ChunkBoundaries {
        let rows = plan.estimated_rows().unwrap_or(0);
        let mut boundaries = ChunkBoundaries {
            order: plan.order.clone(),
            histogram: KnownHistogram::Unknown,
            size: ChunkSize::new(plan, settings),
            sample: settings.sample.map(|share| KeySample::new(share, rows)),
            restored: Vec::new(),
        };
        // A histogram is of use only where chunks are sized by time and keys can be ordered here.
        if boundaries.size.is_fixed() || !plan.order.is_known() || plan.since_indexed() {
            boundaries.set_histogram(Vec::new(), 0);
        }
        boundaries
    }

    /// Takes ranges as they are given: nothing is sampled, and no histogram is needed.
    pub(crate) fn take_given_ranges(&mut self) {
        self.sample = None;
        self.set_histogram(Vec::new(), 0);
    }

    /// Returns whether boundaries can be determined. A histogram that is needed counts as requested
    /// from then on.
    pub(crate) fn readiness(&mut self) -> Readiness {
        match self.histogram {
            KnownHistogram::Unknown => {
                self.histogram = KnownHistogram::Requested;
                Readiness::NeedsHistogram
            }
            KnownHistogram::Requested => Readiness::Waits,
            KnownHistogram::Known(_) => Readiness::Ready,
        }
    }

    /// Sets the histogram: its boundaries in order, none if there is no histogram.
    pub(crate) fn set_histogram(&mut self, bounds: Vec<Bound>, table_rows: u64) {
        let histogram = Histogram::new(bounds, table_rows);
        if let Some(sample) = &mut self.sample
            && let Some(rows) = histogram.step_rows()
        {
            sample.set_step(rows);
        }
        self.histogram = KnownHistogram::Known(histogram);
        for rows in std::mem::take(&mut self.restored) {
            self.skips(rows);
        }
    }

    /// Counts chunks that were cut before an interruption, so that a sample continues as it would have.
    pub(crate) fn restore(&mut self, rows: Vec<u64>) {
        match self.histogram {
            KnownHistogram::Known(_) => {
                for rows in rows {
                    self.skips(rows);
                }
            }
            KnownHistogram::Unknown | KnownHistogram::Requested => self.restored = rows,
        }
    }

    /// Counts a range that is cut off. Returns whether the sample skips it.
    pub(crate) fn skips(&mut self, rows: u64) -> bool {
        self.sample.as_mut().is_some_and(|sample| sample.cut(rows))
    }

    /// Returns the rows of the range that is cut off next.
    pub(crate) fn next_rows(&self) -> u64 {
        match &self.sample {
            Some(sample) if sample.is_skipping() => sample.rows_left(),
            Some(sample) => sample.rows_left().min(self.size.next_rows()),
            None => self.size.next_rows(),
        }
    }

    /// Returns where the next chunk ends, with its estimated rows, if it is known from the histogram.
    pub(crate) fn known_end(&self, after: Option<&Bound>) -> Option<(Bound, u64)> {
        let KnownHistogram::Known(histogram) = &self.histogram else { return None };
        let wanted = match (&self.sample, histogram.step_rows()) {
            (Some(sample), Some(rows)) if sample.skips_to_bound() => rows.max(sample.rows_left()),
            (Some(_), _) => return None,
            (None, _) => self.size.next_rows(),
        };
        let (bound, rows) = histogram.bound_after(after, wanted, &self.order)?;
        // The sample has taken its part of the step whose end is skipped to.
        let rows = self.sample.as_ref().map_or(rows, |sample| sample.rows_left().min(rows));
        Some((bound, rows))
    }

    /// Returns what is expected of a chunk of this size.
    pub(crate) fn expect(&self, rows: u64) -> Expectation {
        self.size.expect(rows)
    }

    /// Takes the measurements of a chunk: the rows that it should have and those that it had, its
    /// differences, and the duration of its first statement.
    pub(crate) fn measure(
        &mut self,
        requested: u64,
        rows: BySide<u64>,
        differences: usize,
        statement: Duration,
    ) {
        self.size.measure(requested, rows, differences, statement);
    }

    /// Makes chunks smaller: one of this size was too large for one statement.
    pub(crate) fn too_large(&mut self, rows: u64) {
        self.size.too_large(rows);
    }

    /// Sets whether chunks are smaller than time allows.
    pub(crate) fn throttle(&mut self, is_throttled: bool) {
        self.size.throttle(is_throttled);
    }

    /// Returns whether only a sample is taken.
    pub(crate) fn takes_sample(&self) -> bool {
        self.sample.is_some()
    }

    /// Returns the share of the rows that the sample has taken, if there is one.
    pub(crate) fn sampled_share(&self) -> Option<f64> {
        self.sample.as_ref().map(KeySample::share)
    }
}
