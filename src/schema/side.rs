//! The two sides of a mapping, and a pair of anything by side.
//!
//! A `BySide<T>` replaces `[T; 2]` everywhere, so that the code always names the side.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// One of the two databases that a mapping compares. Neither is the source of truth until `--authority`
/// names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// The monolith's schema.
    Source,
    /// The new service's schema.
    Target,
}

impl Side {
    /// Both sides, source first.
    pub const BOTH: [Side; 2] = [Side::Source, Side::Target];

    /// Returns the other side.
    pub fn other(self) -> Side {
        match self {
            Side::Source => Side::Target,
            Side::Target => Side::Source,
        }
    }

    /// Returns its name in specs, reports and messages.
    pub fn name(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Target => "target",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BySide<T> {
    /// The source's value.
    pub source: T,
    /// The target's value.
    pub target: T,
}

impl<T> BySide<T> {
    /// Makes the value of each side, source first.
    pub fn new(mut make: impl FnMut(Side) -> T) -> Self {
        BySide { source: make(Side::Source), target: make(Side::Target) }
    }

    /// Makes the value of each side, up to the first error.
    ///
    /// # Errors
    /// The first error that `make` returns.
    pub fn try_new<E>(mut make: impl FnMut(Side) -> Result<T, E>) -> Result<Self, E> {
        Ok(BySide { source: make(Side::Source)?, target: make(Side::Target)? })
    }

    /// Borrows both values.
    pub fn as_ref(&self) -> BySide<&T> {
        BySide { source: &self.source, target: &self.target }
    }

    /// Applies a function to both values.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> BySide<U> {
        BySide { source: f(self.source), target: f(self.target) }
    }

    /// Iterates over both values with their sides, source first.
    pub fn iter(&self) -> impl Iterator<Item = (Side, &T)> {
        Side::BOTH.into_iter().map(|side| (side, &self[side]))
    }

    /// Returns whether a condition is true for both sides.
    pub fn all(&self, mut condition: impl FnMut(&T) -> bool) -> bool {
        condition(&self.source) && condition(&self.target)
    }

    /// Returns whether a condition is true for at least one side.
    pub fn any(&self, mut condition: impl FnMut(&T) -> bool) -> bool {
        condition(&self.source) || condition(&self.target)
    }
}

impl<T> Index<Side> for BySide<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }
}

impl<T> IndexMut<Side> for BySide<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Source => &mut self.source,
            Side::Target => &mut self.target,
        }
    }
}
