//! Rows of one side that were counted again.

use crate::compare::Parts;
use crate::row::Digest;

/// Rows of one side: their digest, and their number by group and accept rule.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) digest: Digest,
    pub(crate) parts: Parts,
}
