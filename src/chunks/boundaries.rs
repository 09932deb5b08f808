//! Where the next chunk ends: at a bound of the histogram where one is near enough, else so many rows
//! on, which a server has to be asked for. A sample takes and skips in turn.

use std::time::Duration;

use super::ChunkSettings;
use super::histogram::Histogram;
use super::sample::Sampling;
use super::size::Sizing;
use crate::compare::Expectation;
use crate::plan::MappingPlan;
use crate::row::{Bound, KeyOrder};
use crate::schema::BySide;

/// Whether the histogram is known.
#[derive(Debug)]
enum Boundaries {
    /// Not asked for yet.
    Unknown,
    /// On its way.
    Asked,
    /// Known, if there is one.
    Known(Histogram),
}

/// What has to come before anything is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// The histogram is to be asked for.
    Histogram,
    /// It is on its way.
    Wait,
    /// Nothing.
    Nothing,
}

/// Where the chunks of one mapping end.
#[derive(Debug)]
pub(crate) struct Cutting {
    order: KeyOrder,
    boundaries: Boundaries,
    sizing: Sizing,
    sampling: Option<Sampling>,
    /// Rows of the chunks that a run that goes on had cut, for the sample to count again.
    cut_before: Vec<u64>,
}

impl Cutting {
    /// Nothing cut yet.
    pub(crate) fn new(plan: &MappingPlan, settings: ChunkSettings) -> Cutting {
        let sizing = Sizing::new(plan, settings);
        let rows = plan.estimated_rows().unwrap_or(0);
        let mut cutting = Cutting {
            order: plan.order.clone(),
            boundaries: Boundaries::Unknown,
            sizing,
            sampling: settings.sample.map(|share| Sampling::new(share, rows)),
            cut_before: Vec::new(),
        };
        // Of use only where chunks are sized by time, and where its order can be told from here.
        if cutting.sizing.is_fixed() || !plan.order.is_known() || plan.since_indexed() {
            cutting.histogram(Vec::new(), 0);
        }
        cutting
    }

    /// The ranges are given: nothing is sampled, and no bounds are needed.
    pub(crate) fn leave_out_nothing(&mut self) {
        self.sampling = None;
        self.histogram(Vec::new(), 0);
    }

    /// What has to come before anything is cut. A histogram that is asked for is on its way then.
    pub(crate) fn first(&mut self) -> First {
        match self.boundaries {
            Boundaries::Unknown => {
                self.boundaries = Boundaries::Asked;
                First::Histogram
            }
            Boundaries::Asked => First::Wait,
            Boundaries::Known(_) => First::Nothing,
        }
    }

    /// The histogram is known: its boundaries in order, none if there is no histogram.
    pub(crate) fn histogram(&mut self, bounds: Vec<Bound>, table_rows: u64) {
        let histogram = Histogram::new(bounds, table_rows);
        if let Some(sampling) = &mut self.sampling
            && let Some(rows) = histogram.stretch()
        {
            sampling.of_stretches(rows);
        }
        self.boundaries = Boundaries::Known(histogram);
        for rows in std::mem::take(&mut self.cut_before) {
            self.skips(rows);
        }
    }

    /// Chunks of so many rows were cut before an interruption: a sample goes on as it would have.
    pub(crate) fn cut_before(&mut self, rows: Vec<u64>) {
        match self.boundaries {
            Boundaries::Known(_) => {
                for rows in rows {
                    self.skips(rows);
                }
            }
            Boundaries::Unknown | Boundaries::Asked => self.cut_before = rows,
        }
    }

    /// A range of so many rows is cut off. Tells whether the sample leaves it out.
    pub(crate) fn skips(&mut self, rows: u64) -> bool {
        self.sampling.as_mut().is_some_and(|sampling| sampling.cut(rows))
    }

    /// Rows of the range that is cut off next.
    pub(crate) fn next_rows(&self) -> u64 {
        match &self.sampling {
            Some(sampling) if sampling.is_skipping() => sampling.left(),
            Some(sampling) => sampling.left().min(self.sizing.next_rows()),
            None => self.sizing.next_rows(),
        }
    }

    /// Where the next chunk ends and about how many rows it has, if that is known without asking.
    pub(crate) fn known_end(&self, after: Option<&Bound>) -> Option<(Bound, u64)> {
        let Boundaries::Known(histogram) = &self.boundaries else { return None };
        let wanted = match (&self.sampling, histogram.stretch()) {
            (Some(sampling), Some(rows)) if sampling.jumps() => rows.max(sampling.left()),
            (Some(_), _) => return None,
            (None, _) => self.sizing.next_rows(),
        };
        let (bound, rows) = histogram.next(after, wanted, &self.order)?;
        // A jump goes to the end of the stretch, of which the sample has had its part.
        let rows = self.sampling.as_ref().map_or(rows, |sampling| sampling.left().min(rows));
        Some((bound, rows))
    }

    /// What is expected of a chunk of so many rows.
    pub(crate) fn expect(&self, rows: u64) -> Expectation {
        self.sizing.expect(rows)
    }

    /// A chunk that was to have `asked` rows had these, differed so often, and its first statement
    /// took so long.
    pub(crate) fn measured(
        &mut self,
        asked: u64,
        rows: BySide<u64>,
        differences: usize,
        statement: Duration,
    ) {
        self.sizing.measured(asked, rows, differences, statement);
    }

    /// A chunk of so many rows was too much for one statement.
    pub(crate) fn too_much(&mut self, rows: u64) {
        self.sizing.too_much(rows);
    }

    /// Whether chunks are to be smaller than they could be.
    pub(crate) fn ease(&mut self, eases: bool) {
        self.sizing.ease(eases);
    }

    /// Whether only a sample is taken.
    pub(crate) fn samples(&self) -> bool {
        self.sampling.is_some()
    }

    /// The share of the rows that the sample has taken, if there is one.
    pub(crate) fn sampled(&self) -> Option<f64> {
        self.sampling.as_ref().map(Sampling::share)
    }
}
