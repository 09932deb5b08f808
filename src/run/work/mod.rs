//! What a worker does: reads what one task asks for.

pub(super) mod bounds;
pub(super) mod changed;
pub(super) mod chunk;
pub(super) mod divided;
pub(super) mod hands;
pub(super) mod parts;
pub(super) mod piece;
pub(super) mod since;
pub(super) mod steps;
pub(super) mod worker;
