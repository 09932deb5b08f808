//! What is left to cut: the rest behind the last chunk, and stretches that come later, in an order of
//! their own.

use std::collections::VecDeque;

use crate::row::{Bound, KeyRange};

/// A stretch that is scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) struct Later {
    pub(in crate::run) range: KeyRange,
    /// About how many rows it has.
    pub(in crate::run) rows: u64,
    /// When it was last verified.
    pub(in crate::run) verified: Option<String>,
}

/// What is left to cut.
#[derive(Debug)]
pub(in crate::run) struct Ahead {
    pub(in crate::run) rest: Option<KeyRange>,
    later: VecDeque<Later>,
    /// When the stretch that the rest belongs to was last verified.
    pub(in crate::run) verified: Option<String>,
}

impl Ahead {
    /// Every key there is.
    pub(in crate::run) fn everything() -> Ahead {
        Ahead { rest: Some(KeyRange::everything()), later: VecDeque::new(), verified: None }
    }

    /// These stretches, one after the other.
    pub(in crate::run) fn of(stretches: impl IntoIterator<Item = Later>) -> Ahead {
        Ahead { rest: None, later: stretches.into_iter().collect(), verified: None }
    }

    /// Begins with the next stretch, if there is one; gives the key that it begins behind.
    pub(in crate::run) fn step(&mut self) -> Option<Option<Bound>> {
        let Later { range, verified, .. } = self.later.pop_front()?;
        let after = range.after.clone();
        (self.rest, self.verified) = (Some(range), verified);
        Some(after)
    }

    /// Takes what is left, each with about how many rows it has; of the rest that is said.
    pub(in crate::run) fn take_all(&mut self, rest_rows: u64) -> Vec<(KeyRange, u64)> {
        let rest = self.rest.take().map(|rest| (rest, rest_rows));
        let later = self.later.drain(..).map(|later| (later.range, later.rows));
        rest.into_iter().chain(later).collect()
    }

    pub(in crate::run) fn is_empty(&self) -> bool {
        self.rest.is_none() && self.later.is_empty()
    }
}
