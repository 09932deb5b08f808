//! Where a scan stands: what has been cut off and compared, what is on its way, what is left. Decided here
//! without asking anybody; the dispatcher asks, and hands back what it was told.

pub(super) mod ahead;
pub(super) mod cutting;
pub(super) mod frontier;
pub(super) mod histogram;
pub(super) mod pass;
pub(super) mod sampling;
pub(super) mod sizing;
pub(super) mod slots;
mod tiling;
pub(super) mod verified;
